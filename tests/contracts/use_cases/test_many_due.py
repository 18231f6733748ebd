"""Many contracts and few that are due: all are decided, a corrupt one is parked, and no statement reads the others."""

from __future__ import annotations

import json

import asyncpg
import pytest
import sqlalchemy as sa

from services.contracts.db.tables import contracts
from shared.events.contracts import ServiceExpired
from shared.kit.auth import Role
from shared.kit.tables import timers
from shared.kit.timer_runner import ATTEMPTS_BEFORE_PARKING
from tests.contracts.story import Story
from tests.performance.contracts_at_work import corrupt, fill, make_due
from tests.performance.statements import Said, taken_down

ALL, DUE, LOST = 2_000, 200, 77
pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


@pytest.fixture
async def url(story: Story) -> str:
    """A database with two thousand services, two hundred of them at their end."""
    url = story.service.runtime.database.url.render_as_string(hide_password=False).replace("+asyncpg", "")
    await fill(url, first=0, last=ALL - DUE)
    await make_due(url, DUE)
    return url


async def test_one_corrupt_contract_is_parked_and_all_others_end(story: Story, url: str) -> None:
    lost = await corrupt(url, LOST)
    for _ in range(ATTEMPTS_BEFORE_PARKING):
        await story.service.run_due()
        async with story.service.runtime.database.transaction() as tx:
            await tx.execute(sa.update(timers).values(leased_until=None))
    expired = await story.told(ServiceExpired)
    assert (len(expired), len({fact.contract_id for fact in expired})) == (DUE - 1, DUE - 1)
    statuses = sa.select(sa.func.count()).where(contracts.c.status == "active")
    assert await story.service.scalar(statuses) == ALL - DUE + 1
    admin = story.service.as_role(Role.ADMIN)
    [parked] = (await admin.get("/v1/parked/timers")).json()["items"]
    assert (parked["subject_id"], parked["attempts"]) == (lost, ATTEMPTS_BEFORE_PARKING)
    assert parked["last_error"] == f"PeriodMissing: contract {lost} is active without its period"


async def test_what_is_due_is_found_by_indexes_alone(story: Story, url: str) -> None:
    """Every statement of a sweep, planned where a scan costs much: none reads a table from end to end."""
    with taken_down() as said:
        await story.service.run_due()
    asked = {one.query: one for one in said if one.query.split()[0] in {"SELECT", "UPDATE", "DELETE", "WITH"}}
    assert len(asked) > 5
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan")
        scanned = {query: found for query, one in asked.items() if (found := await _scanned(connection, one))}
    finally:
        await connection.close()
    assert scanned == {}


async def _scanned(connection: asyncpg.Connection, one: Said) -> list[str]:
    """The tables that the statement reads from end to end."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        given = one.arguments[0] if one.many else one.arguments
        plan = json.loads(await connection.fetchval(f"EXPLAIN (FORMAT JSON) {one.query}", *given))
    finally:
        await transaction.rollback()
    return list(_scans_in(plan[0]["Plan"]))


def _scans_in(node: dict[str, object]) -> list[str]:
    found = [str(node["Relation Name"])] if node["Node Type"] == "Seq Scan" else []
    inner = node.get("Plans", [])
    assert isinstance(inner, list)
    # A table of one row by its nature.
    found = [name for name in found if name != "virtual_clock"]
    return found + [name for each in inner for name in _scans_in(each)]
