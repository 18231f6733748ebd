"""Data folders, keys, files of databases and work that waits: broken embedded installations."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
import sqlalchemy as sa

from deploy import environment
from deploy.doctor import migrations as doctors_migrations
from deploy.doctor.finding import Finding, Severity
from deploy.opening import opened_log
from deploy.services import migrations_of, open_service
from shared.kernel.ids import new_id
from shared.kit.bus.log import Record
from shared.kit.bus.tables import consumer_offsets, outbox, stream_epoch, streams
from shared.kit.db import Transaction
from shared.kit.revision_files import Phase, Revision, revisions_in
from shared.kit.tables import audit_heads, audit_rows, timers
from tests.deploy.cli.test_commands import mainstay, park
from tests.deploy.conftest import Given
from tests.deploy.doctor.conftest import ill, the_one
from tests.infrastructure import requirements, small_disk
from tests.infrastructure.small_disk import SmallDisk
from tests.infrastructure.transit import TOKEN, transit_server
from tests.support.vault import a_secret

SOMEBODY = 12_345
"""A user who is not us."""


@pytest.fixture
def disk() -> Iterator[SmallDisk]:
    with requirements.or_do_without("tmpfs"), small_disk.mounted(2) as mounted:
        yield mounted


async def changed(service: str, table: sa.Table, **values: object) -> None:
    """A row in the service's database."""

    def row(tx: Transaction) -> dict[str, object]:
        return {name: value(tx) if callable(value) else value for name, value in values.items()}

    runtime = open_service(service, environment.read_common(), settings=environment.read_service(service))
    try:
        async with runtime.database.transaction() as tx:
            await tx.insert(table, row(tx))
    finally:
        await runtime.close()


def long_ago(tx: Transaction) -> object:
    return tx.now - timedelta(hours=1)


def test_all_is_well_on_a_healthy_folder_and_the_command_says_so(on_sqlite: Path) -> None:
    done = mainstay("doctor")
    assert (done.returncode, done.stderr) == (0, "")
    assert "0 error(s), 0 warning(s)." in done.stdout
    assert "✓  database of billing" in done.stdout


async def test_before_the_first_start_all_that_is_missing_will_be_made(given: Given, tmp_path: Path) -> None:
    given(data_dir=str(tmp_path / "data"))
    found = await ill()
    assert {one.severity for one in found} == {Severity.WARNING}
    assert "mainstay run" in found[-1].remedy
    assert not (tmp_path / "data").exists(), "the doctor makes nothing"


async def test_wrong_settings_are_findings_and_the_rest_is_looked_at(on_sqlite: Path, given: Given) -> None:
    given(billing_seller_country="DE", billing_series="lower", prot="1", notify_smtp_security="none")
    found = await ill()
    assert [(one.part, one.remedy) for one in found] == [
        ("settings", "remove or rename MAINSTAY_PROT"),
        ("settings", "correct MAINSTAY_BILLING_SERIES: docs/operations/settings.md says what it may be"),
    ]


async def test_settings_that_nothing_can_be_read_from_end_the_examination(given: Given) -> None:
    given(port="http")
    found = await the_one()
    assert (found.part, found.severity) == ("settings", Severity.ERROR)
    assert found.found.startswith("MAINSTAY_PORT: ")


async def test_a_full_disk_is_named(disk: SmallDisk, given: Given) -> None:
    given(data_dir=str(disk.path))
    disk.fill()
    found = (await ill("contracts"))[0]
    assert (found.part, found.severity) == ("data folder", Severity.ERROR)
    assert found.found == f"the disk of {disk.path} is full"
    assert found.remedy.startswith("free some space")


async def test_little_room_is_named(disk: SmallDisk, given: Given) -> None:
    given(data_dir=str(disk.path))
    found = (await ill("contracts"))[0]
    assert re.fullmatch(rf"only [12] MiB are free at {disk.path}", found.found)


async def test_a_folder_that_is_a_file_is_named(tmp_path: Path, given: Given) -> None:
    (tmp_path / "data").write_text("")
    given(data_dir=str(tmp_path / "data"))
    found = (await ill("contracts"))[0]
    assert found.found.endswith("cannot be written to: not a directory")


@pytest.mark.parametrize(
    ("name", "content", "mode", "found", "remedy"),
    [
        ("audit.pem", b"garbage", 0o600, "is no key for signing audit heads", "restore it from your backup"),
        ("development-issuer.json", b"{}", 0o640, "is open to others (mode 0640)", "chmod 600 "),
        ("backup.key", b"x" * 32, 0o604, "is open to others (mode 0604)", "chmod 600 "),
        ("backup.key", b"short", 0o600, "has 5 bytes, fewer than 32", "put your copy of the whole file there"),
    ],
)
async def test_a_key_that_is_open_or_unreadable_is_named(
    on_sqlite: Path, name: str, content: bytes, mode: int, found: str, remedy: str
) -> None:
    key = on_sqlite / "keys" / name
    key.parent.mkdir(exist_ok=True)
    key.write_bytes(content)
    key.chmod(mode)
    said = await the_one()
    assert (said.part, said.severity) == ("keys", Severity.ERROR)
    assert str(key) in said.found
    assert said.found.endswith(found)
    assert said.remedy.startswith(remedy)


async def test_a_backup_key_that_is_not_there_is_named(on_sqlite: Path, given: Given) -> None:
    given(backup_key_file=str(on_sqlite / "gone.key"))
    found = await the_one("backup")
    assert found.found == f"the backup key {on_sqlite}/gone.key is not there"


async def test_a_vault_key_that_is_not_the_one_of_the_secrets_is_named(on_sqlite: Path) -> None:
    key = on_sqlite / "keys" / "vault.key"
    runtime = open_service("contracts", environment.read_common(), settings=environment.read_service("contracts"))
    try:
        await a_secret(runtime, "opens nothing")
    finally:
        await runtime.close()
    assert await ill("contracts") == []
    before = key.read_bytes()
    key.write_bytes(b"another key, as long as the first")
    found = await the_one("contracts")
    assert (found.part, found.severity) == ("vault", Severity.ERROR)
    assert "1 secret(s) are wrapped by the key" in found.found
    assert found.remedy.startswith(f"put it back as {key}")
    key.with_name("vault.key.retired").write_bytes(before)
    key.with_name("vault.key.retired").chmod(0o600)
    assert await ill("contracts") == []


async def test_a_transit_engine_that_refuses_or_is_away_is_named_without_its_token(
    on_sqlite: Path, given: Given
) -> None:
    with transit_server() as transit:
        given(contracts_vault_transit_url=transit.url, contracts_vault_transit_token=TOKEN)
        assert await ill("contracts") == []
        given(contracts_vault_transit_token="hvs.hunter2")
        found = await the_one("contracts")
        assert (found.part, found.severity, found.found) == ("vault", Severity.ERROR, "transit answers 403")
    found = await the_one("contracts")
    assert found.found == "transit does not answer (ConnectError)"
    assert "hunter2" not in repr(found)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
async def test_files_of_another_user_are_named_but_not_the_root_of_a_volume(on_sqlite: Path) -> None:
    os.chown(on_sqlite, SOMEBODY, -1)
    (on_sqlite / "lost+found").mkdir()
    os.chown(on_sqlite / "lost+found", SOMEBODY, -1)
    assert await ill() == []
    os.chown(on_sqlite / "billing.db", SOMEBODY, -1)
    found = await the_one()
    assert (found.part, found.severity) == ("data folder", Severity.WARNING)
    assert f"billing.db, belong to user {SOMEBODY}" in found.found


async def test_a_database_that_is_no_database_is_named(on_sqlite: Path) -> None:
    (on_sqlite / "billing.db").write_bytes(b"nothing of SQLite's " * 100)
    found = await the_one("billing")
    assert (found.part, found.severity) == ("database of billing", Severity.ERROR)
    assert "file is not a database" in found.found
    assert found.remedy == "restore billing.db from your backup"


async def test_a_file_of_another_service_is_named(on_sqlite: Path) -> None:
    with sqlite3.connect(on_sqlite / "notify.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'b7e1'")
    connection.close()
    found = await the_one("notify")
    assert (found.severity, found.found) == (
        Severity.ERROR,
        "is at revision b7e1, which is none of this service's",
    )


@pytest.mark.parametrize(
    ("phases", "found", "remedy"),
    [
        (["expand"], "lacks 1 migration(s)", "mainstay migrate notify"),
        (["contract", "expand"], "lacks 2 migration(s)", "mainstay migrate notify --contract"),
        (["contract"], "1 migration(s) that take something away wait", "mainstay migrate notify --contract, once"),
    ],
)
async def test_what_a_later_release_brings_is_named_by_its_phase(
    on_sqlite: Path, monkeypatch: pytest.MonkeyPatch, phases: list[Phase], found: str, remedy: str
) -> None:
    known = revisions_in(migrations_of("notify"))
    later = [Revision(f"90{number:02}", "a later one", phase, "1.0.0") for number, phase in enumerate(phases)]
    monkeypatch.setattr(doctors_migrations, "revisions_in", lambda _folder: known + later)
    said = await the_one("notify")
    assert (said.severity, said.found) == (Severity.WARNING, found)
    assert said.remedy.startswith(remedy)


async def test_work_that_waits_is_named(on_sqlite: Path) -> None:
    timer = {"kind": "notice.send", "payload": {}, "correlation_id": "test"}
    await changed("notify", timers, id=new_id(), subject_id=new_id(), due_at=long_ago, **timer)
    await changed(
        "notify", timers, id=new_id(), subject_id=new_id(), due_at=long_ago, parked_at=long_ago, attempts=6, **timer
    )
    fact = {"shard": 0, "topic": "notify.notice", "key": "k", "headers": [], "value": b"{}"}
    await changed("notify", outbox, enqueued_at=long_ago, **fact)
    await changed("notify", audit_rows, chain=new_id(), event={}, at=long_ago)
    await changed("notify", audit_heads, chain=new_id(), seq=1, hash="0" * 64, sealed_at=long_ago)
    found = await ill("notify")
    assert {one.part for one in found} == {"work of notify", "audit trail"}
    assert sorted(one.found.split(" since")[0] for one in found) == [
        "1 timer(s) are overdue, the first",
        "1 timer(s) failed too often",
        "a fact has waited",
        "an audit row has waited",
        f"audit chains are sealed, but there is no {on_sqlite}/audit/notify.heads.jsonl",
    ]
    assert all(one.remedy for one in found)


async def test_a_database_that_was_put_back_and_not_said_so_is_named_until_a_new_epoch_begins(on_sqlite: Path) -> None:
    common = environment.read_common()

    def record(key: UUID, seq: int) -> Record:
        return Record("billing.invoice", str(key), [("ce_aggepoch", b"1"), ("ce_aggseq", str(seq).encode())], b"{}")

    known, forgotten, unknown = new_id(), new_id(), new_id()
    for key in (known, forgotten):
        await changed("billing", streams, topic="billing.invoice", key=str(key), epoch=1, seq=2)
    async with opened_log(common) as log:
        await log.append([record(known, 1), record(known, 2), record(forgotten, 2)])
        assert await ill("billing", "contracts") == []
        await log.append([record(forgotten, 3), record(forgotten, 4), record(unknown, 1)])
    said = await the_one()
    assert (said.part, said.severity) == ("memory of billing", Severity.ERROR)
    assert said.found.startswith("its database does not know 3 of the facts that it told last")
    assert said.remedy == "stop the processes of billing, then: mainstay restored billing"
    await changed("billing", stream_epoch, id=1, epoch=1_700_000_000)
    assert await ill() == []


async def test_an_event_that_could_not_be_applied_is_named(on_sqlite: Path) -> None:
    runtime = open_service("billing", environment.read_common(), settings=environment.read_service("billing"))
    async with runtime.database.transaction() as tx:
        await park(tx)
    await runtime.close()
    assert (await the_one("billing")).remedy == "mainstay parked list billing"


@pytest.mark.parametrize(
    ("oldest", "end", "severity", "words"),
    [
        (0, 20_000, Severity.WARNING, "20,000 records wait to be read"),
        (7, 9, Severity.ERROR, "the log dropped 7 record(s) before they were read"),
    ],
)
async def test_a_reader_that_is_far_behind_is_named(
    on_sqlite: Path, oldest: int, end: int, severity: Severity, words: str
) -> None:
    await changed(
        "billing", consumer_offsets,
        consumer="billing", topic="contracts.contract", partition=0, next_offset=0, start_offset=0,
    )  # fmt: skip
    with sqlite3.connect(on_sqlite / "events.db") as connection:
        connection.execute(
            "UPDATE log_partitions SET oldest_offset = ?, next_offset = ? "
            "WHERE topic = 'contracts.contract' AND partition = 0",
            (oldest, end),
        )
    connection.close()
    found: Finding = await the_one("billing")
    assert (found.part, found.severity, found.found) == ("reading of billing", severity, words)
    assert found.remedy
