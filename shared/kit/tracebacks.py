"""Tracebacks for logs: where it went wrong and what kind of fault it is, without the values that it went wrong with."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import traceback
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import asyncpg
from sqlalchemy.exc import SQLAlchemyError

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]

MOST_LINKED = 10
LONGEST_MESSAGE = 2_000
OUR_OWN = ("shared.", "services.", "deploy.")
DATA_STATES = "22"
"""PostgreSQL quotes a value that does not fit its type."""
# Others, ValueError, KeyError and pydantic's first, repeat what they were given: a name, an address, a password.
TELLING_NO_VALUE = (
    ArithmeticError,
    AssertionError,
    asyncio.CancelledError,
    AttributeError,
    ImportError,
    MemoryError,
    NameError,
    RuntimeError,
    asyncpg.PostgresError,
    sqlite3.Error,
    SQLAlchemyError,
    TimeoutError,
    TypeError,
)


def formatted(error: BaseException) -> str:
    """The frames of the fault and of those that it came from, oldest first, with messages that tell no value."""
    parts = []
    for link, one in reversed(list(_linked(error))):
        parts += ["Traceback (most recent call last):\n", *traceback.format_tb(one.__traceback__)]
        parts += [f"{type(one).__module__}.{type(one).__qualname__}: {_told(one)}\n", link]
    return "".join(parts).strip()


def format_exc_info(exc_info: ExcInfo) -> str:
    """For structlog's ExceptionRenderer."""
    return formatted(exc_info[1]) if exc_info[1] is not None else ""


class Formatter(logging.Formatter):
    """For what libraries log: uvicorn repeats every fault that the application could not answer."""

    def formatException(self, ei: Any) -> str:
        return format_exc_info(ei)


def _linked(error: BaseException) -> Iterator[tuple[str, BaseException]]:
    link, one = "", error
    for _ in range(MOST_LINKED):
        yield link, one
        if isinstance(one, BaseExceptionGroup):
            yield from (("\nAmong others, together with:\n\n", each) for each in one.exceptions[:MOST_LINKED])
        if one.__cause__ is not None:
            link, one = "\nWhich caused:\n\n", one.__cause__
        elif one.__context__ is not None and not one.__suppress_context__:
            link, one = "\nDuring which happened:\n\n", one.__context__
        else:
            return


def _told(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror  # without the file's name, which may be a customer's
    state = getattr(error, "sqlstate", None) or getattr(getattr(error, "orig", None), "sqlstate", None) or ""
    if state.startswith(DATA_STATES):
        return f"{state} (its message may repeat values)"
    if type(error).__module__.startswith(OUR_OWN) or isinstance(error, TELLING_NO_VALUE):
        return str(error).split("\nDETAIL:")[0][:LONGEST_MESSAGE]
    return "(its message may repeat values)"
