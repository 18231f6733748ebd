"""A fault's traceback says where and what kind, and repeats nothing that a customer sent or a secret holds."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import aiosmtplib
import asyncpg
import httpx
import pytest
import sqlalchemy as sa
from fastapi.exceptions import ResponseValidationError
from pydantic import BaseModel
from sqlalchemy.exc import DBAPIError

from shared.kit import tracebacks

SECRET = "hunter2-of-ann@example.org"


class Number(BaseModel):
    number: int


def _chained() -> None:
    try:
        UUID(SECRET)
    except ValueError as error:
        raise RuntimeError("that was no id") from error


def _in_a_group() -> None:
    raise ExceptionGroup("several", [KeyError(SECRET), RuntimeError("the other one")])


def _statement() -> None:
    with sa.create_engine("sqlite://", hide_parameters=True).connect() as connection:
        connection.execute(sa.text("SELECT * FROM nowhere WHERE email = :email"), {"email": SECRET})


def _value() -> None:
    quoting = asyncpg.InvalidTextRepresentationError(f'invalid input syntax for type uuid: "{SECRET}"')
    raise DBAPIError(None, None, quoting) from quoting


def _response() -> None:
    raise ResponseValidationError([{"type": "missing", "loc": ("name",), "msg": "required", "input": SECRET}])


def _recipient() -> None:
    raise aiosmtplib.SMTPRecipientRefused(550, "no such user", SECRET)


FAULTS: dict[str, Callable[[], object]] = {
    "an id": lambda: UUID(SECRET),
    "a number": lambda: int(SECRET),
    "a key": lambda: dict[str, str]()[SECRET],
    "a file": lambda: Path("/nowhere", SECRET).read_bytes(),
    "a model": lambda: Number.model_validate({"number": SECRET}),
    "a URL": lambda: httpx.get(f"http://user:{SECRET.replace('@', '%40')}@127.0.0.1:1/{SECRET}"),
    "a cause": _chained,
    "a group": _in_a_group,
    "a statement": _statement,
    "a value": _value,
    "an answer": _response,
    "a recipient": _recipient,
}


def fault_of(make: Callable[[], object]) -> BaseException:
    kept_in_a_local = SECRET
    with pytest.raises(Exception) as caught:
        make()
    assert kept_in_a_local
    return caught.value


@pytest.mark.parametrize("kind", FAULTS)
def test_no_traceback_repeats_a_value(kind: str) -> None:
    said = tracebacks.formatted(fault_of(FAULTS[kind]))
    assert "Traceback (most recent call last)" in said
    assert f"{__name__.rpartition('.')[2]}.py" in said
    assert "hunter2" not in said


def test_messages_of_our_own_and_those_that_tell_no_value_are_kept_along_the_whole_chain() -> None:
    said = tracebacks.formatted(fault_of(_chained))
    assert said.index("builtins.ValueError") < said.index("builtins.RuntimeError: that was no id")
    assert "the other one" in tracebacks.formatted(fault_of(_in_a_group))
    assert "no such table: nowhere" in tracebacks.formatted(fault_of(_statement))
    assert "No such file" in tracebacks.formatted(fault_of(FAULTS["a file"]))


def test_what_libraries_log_is_formatted_likewise() -> None:
    lines = io.StringIO()
    handler = logging.StreamHandler(lines)
    handler.setFormatter(tracebacks.Formatter("%(message)s"))
    logger = logging.Logger("uvicorn.error")
    logger.addHandler(handler)
    try:
        int(SECRET)
    except ValueError:
        logger.error("Exception in ASGI application", exc_info=sys.exc_info())
    assert "builtins.ValueError" in lines.getvalue()
    assert "hunter2" not in lines.getvalue()
