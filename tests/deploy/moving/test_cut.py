"""While the point is chosen nobody applies an event and nobody is answered; a backup of two moments is found out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest
import sqlalchemy as sa

from deploy.moving import cut
from deploy.moving.cut import NeverStill
from services.billing.migrations import __path__ as migrations_of_billing
from shared.kit import audit_trail, migrations, on_sqlite
from shared.kit.bus import positions
from shared.kit.bus.log import Partition
from shared.kit.db import Database, LockedByAnother, Transaction
from shared.kit.runtime import Runtime
from shared.kit.tables import audit_rows, idempotency_keys
from tests.deploy.cli.test_commands import changing, told
from tests.deploy.moving.conftest import Company
from tests.infrastructure.postgres import PostgresServer
from tests.kit.support import fresh_postgres_database

PLACE = Partition("contracts.contract", 0)


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """That of a billing service whose consumer has begun; a statement waits for a lock for a moment only."""
    if request.param == "sqlite":
        async for found in _billing(f"sqlite:///{tmp_path / 'billing.db'}"):
            yield found
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    with fresh_postgres_database(server) as url:
        async for found in _billing(url):
            yield found


async def _billing(url: str) -> AsyncIterator[Database]:
    found = Database(url)
    found.commit_hooks = [audit_trail.flush]
    await migrations.upgrade(found, Path(next(iter(migrations_of_billing))))
    async with found.transaction() as tx:
        await positions.begin_at(tx, "billing", {PLACE: 0})
    yield found
    await found.close()


async def apply_an_event(tx: Transaction) -> None:
    assert await positions.advance_offsets(tx, "billing", {PLACE: (0, 1)})


async def retry_what_is_parked(tx: Transaction) -> None:
    assert await positions.lock_partition(tx, "billing", *PLACE)


async def claim_a_key(tx: Transaction) -> None:
    values = {"caller": "ann", "key": str(uuid4()), "request_sha256": "", "created_at": tx.now}
    await tx.insert_once(idempotency_keys, values, on=["caller", "key"])


async def change_by_put(tx: Transaction) -> None:
    audit_trail.record(tx, None, "put", uuid4())


WRITERS = [apply_an_event, retry_what_is_parked, claim_a_key, change_by_put]


async def test_behind_the_fence_everybody_waits_and_goes_on_when_it_falls(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_sqlite, "BUSY_SECONDS", 0)
    async with cut.fence([database], 2.0):
        async with database.reading() as reader:
            assert not await reader.rows(sa.select(audit_rows)), "who only reads is not held up"
        for write in WRITERS:
            with pytest.raises(LockedByAnother):
                await _with_little_patience(database, write)
    for write in WRITERS:
        await _with_little_patience(database, write)


async def test_the_point_is_not_chosen_while_something_is_under_way(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cut, "PATIENCE_SECONDS", (0.05, 0.1))
    monkeypatch.setattr(cut, "PAUSE_SECONDS", 0.01)
    async with database.transaction() as tx:
        await apply_an_event(tx)
        with pytest.raises(NeverStill):
            async with cut.cut(_opened(database)):
                pass
    async with cut.cut(_opened(database)) as snapshots:
        async with database.transaction() as tx:
            audit_trail.record(tx, None, "later", uuid4())
        assert await snapshots["billing"].reader.rows(sa.select(audit_rows.c.id)) == []


def _opened(database: Database) -> Mapping[str, Runtime]:
    """As much of a Runtime as a cut needs."""
    return {"billing": cast(Runtime, SimpleNamespace(name="billing", database=database))}


async def _with_little_patience(database: Database, write: Any) -> None:
    async with database.transaction() as tx:
        if tx.dialect == "postgresql":
            await tx.execute(sa.text("SET LOCAL lock_timeout = 100"))
        await write(tx)


def test_databases_of_two_moments_are_found_out(company: Company) -> None:
    stream = positions.Stream("billing.invoice", str(uuid4()))
    changing("notify", lambda tx: positions.write_positions(tx, "notify", {stream: positions.Position(1, 4)}))
    company.back_up()
    (finding,) = told("restore-system", str(company.backup), "--verify", "--quiet", code=1)["findings"]
    assert f"notify has applied number 4 of billing.invoice {stream.key}" in finding
    assert "not from one point" in finding
