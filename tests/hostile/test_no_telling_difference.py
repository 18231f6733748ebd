"""Whether another customer's thing exists cannot be told: not by the answer, the statements, a lock or the clock."""

from __future__ import annotations

import json
import random
import statistics
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
import pytest
import sqlalchemy as sa

from shared.kernel.ids import new_id
from shared.kit.auth import Role
from shared.kit.db import Reader
from tests.hostile.operations import Operation, sent
from tests.hostile.planted import Planted

PAIRS = 30
TRIES = 4
SMALLEST_TELLING_PART = 0.1
"""Of the time of a request: what a caller who asks a few dozen times could not tell from chance."""


@dataclass(frozen=True)
class Cell:
    """One id that one operation takes, in the hands of a customer to whom it does not belong."""

    operation: Operation
    place: str
    name: str

    def __str__(self) -> str:
        return f"{self.operation}, {self.name} in the {self.place}"

    @property
    def known(self) -> str:
        """The name under which such an id is planted; `server_ids` holds one `server_id`."""
        return self.name.removesuffix("s")

    async def ask(self, stranger: httpx.AsyncClient, house: Planted, thing: Any) -> httpx.Response:
        """With everything else the stranger's own, so that nothing else is refused first."""
        query = {self.name: str(thing)} if self.place == "query" else None
        return await sent(stranger, self.operation, {**house.others, self.known: thing}, query=query)


def cells_of(house: Planted) -> list[Cell]:
    """Every id of path, query and body that a customer may name; a partner's belongs to no customer."""
    found = [
        Cell(operation, place, name)
        for operation in house.operations
        if Role.CUSTOMER in operation.callers
        for place, name in operation.takes_ids
        if name != "partner_id"
    ]
    assert found
    return found


def a_stranger(house: Planted) -> httpx.AsyncClient:
    """The other customer."""
    return house.signed_in(Role.CUSTOMER, customer_id=house.others["customer_id"])


@contextmanager
def statements(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What is sent to any database meanwhile, without its values."""
    seen: list[str] = []
    execute = Reader.execute

    async def noted(reader: Reader, statement: Any, parameters: Any = None) -> Any:
        seen.append(str(getattr(statement, "statement", statement)))
        return await execute(reader, statement, parameters)

    with monkeypatch.context() as patch:
        patch.setattr(Reader, "execute", noted)
        yield seen


async def test_what_is_another_customers_is_answered_as_if_it_were_not_there(house: Planted) -> None:
    """Each id of path, query and body in turn is another's, and the answer is that of an id nobody has."""
    stranger, before = a_stranger(house), await house.rows()
    for cell in cells_of(house):
        thing, nothing = house.ids[cell.known], new_id()
        there, missing = [await cell.ask(stranger, house, each) for each in (thing, nothing)]
        assert there.status_code == missing.status_code, (str(cell), there.text, missing.text)
        assert _said(there, thing) == _said(missing, nothing), str(cell)
        if cell.place == "query":
            assert there.json() == {"items": [], "next_cursor": None}, str(cell)
        else:
            expected = 404 if cell.place == "path" else there.status_code
            assert there.status_code == expected >= 400, (str(cell), there.text)
    assert await house.rows() == before


def _said(answer: httpx.Response, asked: UUID) -> tuple[dict[str, str], dict[str, Any]]:
    """Head and body but for what is the request's own: its ids, and the id that it asked for."""
    body = json.loads(answer.text.replace(str(asked), "ID"))
    head = dict(answer.headers)
    for name in ("request_id", "x-request-id", "x-correlation-id"):
        head.pop(name, None)
        body.pop(name, None)
    return head, body


async def test_the_same_statements_are_run_for_anothers_thing_as_for_none(
    house: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = a_stranger(house)
    for cell in cells_of(house):
        thing = house.ids[cell.known]
        run: list[list[str]] = []
        for each in (thing, new_id()):
            with statements(monkeypatch) as seen:
                await cell.ask(stranger, house, each)
            run.append(seen)
        assert run[0], str(cell)
        assert run[0] == run[1], f"{cell}: {set(run[0]) ^ set(run[1])}"


async def test_a_stranger_does_not_wait_for_a_thing_that_its_owner_is_changing(house: Planted) -> None:
    """Where a row is locked before it is known whose it is, waiting would tell that it exists."""
    if house.service.runtime.database.dialect == "sqlite":
        pytest.skip("SQLite has one lock for all, whoever asks for what")
    stranger = a_stranger(house)
    async with _everything_locked(house):
        for cell in cells_of(house):
            if cell.place == "query":
                continue
            answer = await cell.ask(stranger, house, house.ids[cell.known])
            assert 400 <= answer.status_code < 500, (str(cell), answer.text)
            assert answer.json()["code"] != "LockedByAnother", str(cell)


@asynccontextmanager
async def _everything_locked(house: Planted) -> AsyncIterator[None]:
    """Every row of the customer, as if a command of its own were at work on it."""

    class Over(Exception):
        pass

    ids = [value for value in house.ids.values() if isinstance(value, UUID)]
    with suppress(Over):
        async with house.service.runtime.database.transaction() as tx:
            for table in house.tables:
                own = [table.c[name].in_(ids) for name in ("id", "customer_id") if _holds_ids(table, name)]
                if own:
                    await tx.execute(sa.select(sa.literal(1)).select_from(table).where(sa.or_(*own)).with_for_update())
            yield
            raise Over


def _holds_ids(table: sa.Table, name: str) -> bool:
    return name in table.c and isinstance(table.c[name].type, sa.Uuid)


async def test_the_clock_does_not_tell_either(on_sqlite: Planted) -> None:
    """The median of interleaved pairs' differences; what chance did once it does not do every time."""
    stranger = a_stranger(on_sqlite)
    for cell in cells_of(on_sqlite):
        thing = on_sqlite.ids[cell.known]
        parts = []
        for _ in range(TRIES):
            parts.append(await _telling_part(cell, stranger, on_sqlite, thing))
            if abs(parts[-1]) <= SMALLEST_TELLING_PART:
                break
        else:
            one_way = len({part > 0 for part in parts}) == 1
            assert not one_way, f"{cell}: another's takes longer by {[f'{part:.0%}' for part in parts]}"


async def _telling_part(cell: Cell, stranger: httpx.AsyncClient, house: Planted, thing: UUID) -> float:
    """By how much of a request's time another's thing takes longer than none."""
    differences: list[float] = []
    all_seconds: list[float] = []
    for _ in range(PAIRS):
        order = [("another's", thing), ("nobody's", new_id())]
        random.shuffle(order)
        seconds = {}
        for whose, each in order:
            started = time.process_time()
            await cell.ask(stranger, house, each)
            seconds[whose] = time.process_time() - started
        differences.append(seconds["another's"] - seconds["nobody's"])
        all_seconds += seconds.values()
    return statistics.median(differences) / statistics.median(all_seconds)
