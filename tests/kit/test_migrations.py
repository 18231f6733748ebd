"""Revisions in two phases: what adds goes beside running processes, what takes away waits until none needs it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from shared.kit import migrations, presence
from shared.kit.db import Database, DatabaseAway
from shared.kit.migrations import NoSuchRevision, TableBusy
from shared.kit.presence import OlderProcessRuns, TooOld, present
from shared.kit.revision_files import WrongRevision, revisions_in, statements_of
from shared.kit.safe_sql import UnsafeRevision
from shared.kit.tables import running_processes
from tests.infrastructure.postgres import PostgresServer
from tests.infrastructure.waiting import eventually
from tests.kit.support import fresh_postgres_database

OLD, NEW = "1.0.0", "1.1.0"


@dataclass
class Line:
    """A service's revisions, written by the test: each says what it does to `things`."""

    folder: Path

    def add(self, work: str, *, said: str = 'phase = "expand"') -> None:
        number = len(list((self.folder / "versions").glob("*.py"))) + 1
        before = f'"{number - 1:04}"' if number > 1 else "None"
        (self.folder / "versions" / f"{number:04}_change_things.py").write_text(
            f'"""Change {number}."""\n'
            "import sqlalchemy as sa\nfrom alembic import op\n"
            "from shared.kit.revisions import kit_0002\n"
            "from shared.kit.revisions.indexes import create_index_beside_traffic\n"
            f'revision = "{number:04}"\ndown_revision = {before}\n{said}\n'
            f"def upgrade():\n    {work}\n"
        )

    def contract(self, work: str, *, oldest_version: str = NEW) -> None:
        self.add(work, said=f'phase = "contract"\noldest_version = "{oldest_version}"')


@pytest.fixture
def line(tmp_path: Path) -> Line:
    folder = tmp_path / "migrations"
    (folder / "versions").mkdir(parents=True)
    (folder / "env.py").write_text("from shared.kit.migrations import run_environment\nrun_environment()\n")
    made = Line(folder)
    made.add(
        "kit_0002.upgrade(); op.create_table('things', sa.Column('id', sa.Integer, primary_key=True), "
        "sa.Column('name', sa.Text), sa.Column('old', sa.Text))"
    )
    return made


@pytest.fixture
async def database(empty_url: str) -> AsyncIterator[Database]:
    found = Database(empty_url)
    yield found
    await found.close()


@pytest.fixture
async def postgres(postgres_server: PostgresServer) -> AsyncIterator[Database]:
    with fresh_postgres_database(postgres_server) as url:
        found = Database(url)
        yield found
        await found.close()


ADD_COLUMN = "op.add_column('things', sa.Column('later', sa.Text))"
DROP_COLUMN = "op.execute('ALTER TABLE things DROP COLUMN old')"


async def test_what_takes_away_and_what_follows_it_waits_to_be_asked_for(database: Database, line: Line) -> None:
    await migrations.upgrade(database, line.folder)
    line.add(ADD_COLUMN)
    line.contract(DROP_COLUMN)
    line.add("op.add_column('things', sa.Column('newer', sa.Text))")
    assert await applied(database, line) == ["0002"]
    assert [step.number for step in migrations.lacking(await migrations.pending(database, line.folder))] == [
        "0003",
        "0004",
    ]
    assert await applied(database, line, contract=True) == ["0003", "0004"]
    assert await columns_of(database) == {"id", "name", "later", "newer"}


async def test_a_release_starts_without_the_contract_revisions_at_the_end(database: Database, line: Line) -> None:
    await migrations.upgrade(database, line.folder)
    line.contract(DROP_COLUMN)
    assert migrations.lacking(await migrations.pending(database, line.folder)) == []


async def test_a_new_database_gets_every_revision(database: Database, line: Line) -> None:
    line.contract(DROP_COLUMN)
    line.add(ADD_COLUMN)
    assert await applied(database, line) == ["0001", "0002", "0003"]


async def test_an_older_release_takes_a_database_that_a_later_one_expanded(database: Database, line: Line) -> None:
    await migrations.upgrade(database, line.folder)
    line.add(ADD_COLUMN)
    await migrations.upgrade(database, line.folder)
    (line.folder / "versions" / "0002_change_things.py").unlink()
    assert await migrations.pending(database, line.folder) == []
    assert await applied(database, line, contract=True) == []
    async with present(database, "api", never):
        assert await migrations.current(database) == "0002"


async def test_a_database_of_something_else_is_not_taken_for_a_later_one(database: Database, line: Line) -> None:
    await migrations.upgrade(database, line.folder)
    async with database.transaction() as tx:
        await tx.execute(sa.text("UPDATE alembic_version SET version_num = '00ab'"))
    with pytest.raises(NoSuchRevision):
        await migrations.pending(database, line.folder)


async def test_nothing_is_taken_away_while_an_older_process_runs(
    database: Database, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    await migrations.upgrade(database, line.folder)
    line.add(ADD_COLUMN)
    line.contract(DROP_COLUMN)
    async with process(database, OLD, monkeypatch), process(database, NEW, monkeypatch):
        with pytest.raises(OlderProcessRuns, match=r"Revision 0003 .* 1\.1\.0 .* worker 1\.0\.0 on "):
            await migrations.upgrade(database, line.folder, contract=True)
        assert [step.number for step in await migrations.pending(database, line.folder)] == ["0003"]
        assert await columns_of(database) == {"id", "name", "old", "later"}
    async with process(database, NEW, monkeypatch):
        assert await applied(database, line, contract=True) == ["0003"]


async def test_who_was_killed_counts_as_running_until_it_has_been_silent_for_long(
    database: Database, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    await migrations.upgrade(database, line.folder)
    line.contract(DROP_COLUMN)
    async with process(database, OLD, monkeypatch):
        silent = timedelta(seconds=presence.GONE_AFTER_SECONDS)
        now = await database.real_now()
        async with database.transaction() as tx:
            await tx.execute(sa.update(running_processes).values(seen_at=now - silent))
        assert await applied(database, line, contract=True) == ["0002"]


async def test_a_process_that_is_too_old_does_not_start(
    database: Database, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    await migrations.upgrade(database, line.folder)
    line.contract(DROP_COLUMN)
    line.contract("pass", oldest_version="0.9.0")
    await migrations.upgrade(database, line.folder, contract=True)
    with pytest.raises(TooOld, match=r"Revision 0002 .* 1\.1\.0 and later; this is 1\.0\.0"):
        async with process(database, OLD, monkeypatch):
            pytest.fail("it runs")
    async with process(database, "1.10.0", monkeypatch):
        pass


async def test_a_process_that_was_out_of_touch_meanwhile_leaves(
    database: Database, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    await migrations.upgrade(database, line.folder)
    line.contract(DROP_COLUMN)
    left = asyncio.Event()
    monkeypatch.setattr(presence, "SIGN_EVERY_SECONDS", 0.02)
    monkeypatch.setattr(presence, "VERSION", OLD)
    async with present(database, "api", left.set):
        await database.run_sync(lambda one: presence.raise_floor(one, "0002", OLD))
        monkeypatch.setattr(presence, "GONE_AFTER_SECONDS", -1.0)
        await migrations.upgrade(database, line.folder, contract=True)
        async with asyncio.timeout(10):
            await left.wait()


async def test_a_process_that_may_not_start_does_not_count_as_running(
    database: Database, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    await migrations.upgrade(database, line.folder)
    line.contract(DROP_COLUMN)
    await migrations.upgrade(database, line.folder, contract=True)
    with pytest.raises(TooOld):
        async with process(database, OLD, monkeypatch):
            pytest.fail("it may not start")
    async with database.reading() as reader:
        assert await presence.running(reader) == []


async def test_a_database_that_is_away_for_a_moment_ends_nobodys_signs(
    database: Database, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    await migrations.upgrade(database, line.folder)
    monkeypatch.setattr(presence, "SIGN_EVERY_SECONDS", 0.01)
    answers, asked = database.real_now, 0

    async def away_at_first() -> object:
        nonlocal asked
        asked += 1
        if asked in (2, 3):
            raise DatabaseAway()
        return await answers()

    async def again() -> bool:
        return asked > 4

    monkeypatch.setattr(database, "real_now", away_at_first)
    async with present(database, "api", never):
        await eventually(again, what="a sign after the trouble")


async def test_several_migrators_at_once_apply_each_revision_once(empty_url: str, line: Line) -> None:
    for number in range(3):
        line.add(f"op.create_table('more_{number}', sa.Column('id', sa.Integer))")
    several = [Database(empty_url) for _ in range(3)]
    found = await asyncio.gather(*(applied(one, line) for one in several))
    assert sorted(number for each in found for number in each) == ["0001", "0002", "0003", "0004"]
    for one in several:
        await one.close()


async def test_a_revision_that_would_stop_traffic_is_refused_before_anything_is_run(
    postgres: Database, line: Line
) -> None:
    await migrations.upgrade(postgres, line.folder)
    line.add(f"{ADD_COLUMN}; op.create_index('ix_things_name', 'things', ['name'])")
    with pytest.raises(UnsafeRevision, match=r"Revision 0002 .*nobody writes meanwhile"):
        await migrations.upgrade(postgres, line.folder)
    assert await columns_of(postgres) == {"id", "name", "old"}


async def test_traffic_goes_on_while_a_revision_waits_behind_a_long_transaction(
    postgres: Database, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    await migrations.upgrade(postgres, line.folder)
    line.add(ADD_COLUMN)
    monkeypatch.setattr(migrations, "LOCK_TIMEOUT_MS", 50)
    monkeypatch.setattr(migrations, "PAUSE_SECONDS", (0.05, 0.1))
    tries = counted_tries(monkeypatch)
    async with postgres.transaction() as long:
        await long.execute(sa.text("SELECT count(*) FROM things"))
        migrating = asyncio.create_task(applied(postgres, line))
        await eventually(lambda: is_so(len(tries) > 2), what="tries that were given up")
        async with postgres.transaction() as short:
            await short.execute(sa.text("INSERT INTO things (id) VALUES (1)"))
        assert not migrating.done()
    assert await migrating == ["0002"]


async def test_a_table_that_stays_busy_is_said_and_left(
    postgres: Database, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    await migrations.upgrade(postgres, line.folder)
    line.add("op.create_table('others', sa.Column('id', sa.Integer))")
    line.add(ADD_COLUMN)
    monkeypatch.setattr(migrations, "LOCK_TIMEOUT_MS", 50)
    monkeypatch.setattr(migrations, "BUSY_SECONDS", 0.0)
    async with postgres.transaction() as long:
        await long.execute(sa.text("SELECT count(*) FROM things"))
        with pytest.raises(TableBusy, match="Revision 0003"):
            await migrations.upgrade(postgres, line.folder)
    assert [step.number for step in await migrations.pending(postgres, line.folder)] == ["0003"]


async def test_an_index_is_built_beside_traffic_and_again_after_it_broke_off(postgres: Database, line: Line) -> None:
    await migrations.upgrade(postgres, line.folder)
    async with postgres.transaction() as tx:
        await tx.execute(sa.text("INSERT INTO things (id, name) VALUES (1, 'same'), (2, 'same')"))
    line.add("create_index_beside_traffic('uq_things_name', 'things', ['name'], unique=True)")
    with pytest.raises(sa.exc.IntegrityError):
        await migrations.upgrade(postgres, line.folder)
    async with postgres.transaction() as tx:
        await tx.execute(sa.text("DELETE FROM things WHERE id = 2"))
    assert await applied(postgres, line) == ["0002"]
    async with postgres.reading() as reader:
        valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'uq_things_name'::regclass"
        assert await reader.scalar(sa.text(valid)) is True


async def test_the_sql_of_a_revision_is_told_without_a_database(line: Line) -> None:
    line.add(ADD_COLUMN)
    line.contract("with op.batch_alter_table('things') as batch: batch.drop_column('old')")
    [_, expand, contract] = revisions_in(line.folder)
    assert statements_of(line.folder, expand, before="0001", dialect="postgresql") == [
        "ALTER TABLE things ADD COLUMN later TEXT"
    ]
    assert statements_of(line.folder, contract, before="0002", dialect="postgresql") == [
        'ALTER TABLE things DROP COLUMN "old"'
    ]
    rebuilt = statements_of(line.folder, contract, before="0002", dialect="sqlite")
    assert [statement.split()[0] for statement in rebuilt] == ["CREATE", "INSERT", "DROP", "ALTER"]


@pytest.mark.parametrize(
    "said", ["", 'phase = "both"', 'phase = "contract"', 'phase = "expand"\noldest_version = "1.0.0"']
)
def test_a_revision_says_its_phase_and_for_whom_it_takes_away(line: Line, said: str) -> None:
    line.add("pass", said=said)
    with pytest.raises(WrongRevision, match="0002"):
        revisions_in(line.folder)


async def applied(database: Database, line: Line, *, contract: bool = False) -> list[str]:
    return [step.number for step in await migrations.upgrade(database, line.folder, contract=contract)]


async def columns_of(database: Database) -> set[str]:
    return await database.run_sync(lambda one: {column["name"] for column in sa.inspect(one).get_columns("things")})


@asynccontextmanager
async def process(database: Database, version: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """A worker of that release."""
    with monkeypatch.context() as patched:
        patched.setattr(presence, "VERSION", version)
        beginning = present(database, "worker", never)
        await beginning.__aenter__()
    try:
        yield
    finally:
        await beginning.__aexit__(None, None, None)


def never() -> None:
    pytest.fail("told to leave")


async def is_so(value: bool) -> bool:
    return value


def counted_tries(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    tries: list[int] = []
    set_timeouts = migrations._set_timeouts

    def counting(connection: sa.Connection, *, unhurried: bool) -> None:
        tries.append(1)
        set_timeouts(connection, unhurried=unhurried)

    monkeypatch.setattr(migrations, "_set_timeouts", counting)
    return tries
