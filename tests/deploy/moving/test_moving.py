"""A whole installation into a folder and out of it again: nothing is missing, half or overwritten."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import sqlalchemy as sa

from deploy.moving import manifest, unpacking
from deploy.services import SERVICES
from shared.kit import presence
from shared.kit.bus.tables import consumer_offsets, parked_events
from shared.kit.runtime import Runtime
from tests.deploy.cli.telling import next_number, seal_rows
from tests.deploy.cli.test_commands import changing, mainstay, on, told
from tests.deploy.moving.conftest import Company, issue, records_on_the_log
from tests.infrastructure.restic import ResticBinary
from tests.support.vault import a_secret, the_value


def test_all_of_it_is_there_again_and_goes_on(company: Company) -> None:
    said = company.back_up()
    new = company.go_to("new")
    restored = company.restore()
    assert restored["services"] == said["services"]
    assert restored["appended"] == said["records"] == records_on_the_log() == 1
    assert all(epoch > 1 for epoch in restored["epochs"].values())
    for service in SERVICES:
        assert told("audit", "verify", service)["breaks"] == []
        seal_rows(service, 3)
        assert told("audit", "verify", service)["rows"] == 7, "three, that of the restore, and three"
    assert (new / "evidence/ab/abcdef").read_bytes() == (company.folder / "evidence/ab/abcdef").read_bytes()
    assert (new / "keys/audit.pem").read_bytes() == (company.folder / "keys/audit.pem").read_bytes()
    assert (new / "keys/audit.pem").stat().st_mode & 0o777 == 0o600
    assert next_number() == "MS-2026-000002"


def test_secrets_open_where_they_are_restored_and_their_key_leaves_sealed_only(company: Company) -> None:
    value = "a password that is in no file"
    secret_id = on("contracts", lambda runtime: a_secret(runtime, value))
    key = (company.folder / "keys/vault.key").read_bytes()
    hidden = (value.encode(), key, key.hex().encode(), base64.b64encode(key))
    company.back_up()
    for path in company.backup.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        content = gzip.decompress(content) if path.suffix == ".gz" else content
        assert not any(each in content for each in hidden), path
    new = company.go_to("new")
    company.restore()
    assert (new / "keys/vault.key").read_bytes() == key
    assert on("contracts", lambda runtime: the_value(runtime, secret_id)) == value


def test_a_parked_event_goes_to_the_partition_in_which_its_key_goes_on(company: Company) -> None:
    company.go_to("new")
    company.restore()
    (parked,) = changing("billing", lambda tx: tx.rows(sa.select(parked_events)))
    assert (parked.key, parked.status, parked.offset) == ("k", "held", -1)
    offsets = changing("billing", lambda tx: tx.rows(sa.select(consumer_offsets)))
    assert {(row.next_offset, row.start_offset) for row in offsets} == {(0, 0)}
    assert told("parked", "skip", "billing", str(parked.id), "--reason", "a test") == {"skipped": 1}


def test_a_backup_without_its_keys_is_made_on_purpose_only(company: Company) -> None:
    shutil.rmtree(company.backup)
    done = mainstay("backup-system", str(company.backup))
    assert (done.returncode, "--without-keys" in done.stderr) == (2, True)
    done = mainstay("backup-system", str(company.backup), "--without-keys", "--quiet")
    assert (done.returncode, "NOT" in done.stderr) == (0, True)
    new = company.go_to("new")
    done = mainstay("restore-system", str(company.backup), "--quiet")
    assert (done.returncode, f"put those of the installation into {new / 'keys'}" in done.stderr) == (1, True)
    (new / "keys").mkdir(parents=True)
    (new / "keys/audit.pem").write_bytes((company.folder / "keys/audit.pem").read_bytes())
    assert mainstay("restore-system", str(company.backup), "--quiet").returncode == 0


def test_keys_open_with_their_passphrase_only(company: Company) -> None:
    assert b"PRIVATE" not in b"".join(path.read_bytes() for path in company.backup.rglob("*") if path.is_file())
    company.passphrase_file.write_text("another passphrase\n")
    company.go_to("new")
    done = mainstay("restore-system", str(company.backup), *company.keys)
    assert (done.returncode, done.stderr.strip()) == (1, "The keys of this backup do not open with that passphrase.")
    company.go_to("old")
    company.passphrase_file.write_text("short\n")
    assert mainstay("export", f"{company.backup}-2", *company.keys).returncode == 1


def test_a_restic_repository_keeps_backups_and_gives_the_newest_or_the_one_named(
    company: Company, restic_binary: ResticBinary, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = f"restic:{company.backup.parent / 'repository'}"
    done = mainstay("backup-system", place, *company.keys)
    assert (done.returncode, "set RESTIC_PASSWORD_FILE" in done.stderr) == (3, True)
    monkeypatch.setenv("RESTIC_PASSWORD_FILE", str(company.passphrase_file))
    monkeypatch.setenv("MAINSTAY_BACKUP_RESTIC", str(restic_binary.path))
    done = mainstay("backup-system", place, *company.keys)
    assert (done.returncode, "restic backup ended with" in done.stderr) == (3, True)
    command = [str(restic_binary.path), "init", "--quiet", "--repo", place.removeprefix("restic:")]
    subprocess.run(command, check=True, timeout=60)
    first = told("backup-system", place, *company.keys)
    second = told("backup-system", place, *company.keys)
    assert told("restore-system", place, "--verify", "--quiet")["id"] == second["id"] != first["id"]
    company.go_to("new")
    assert told("restore-system", place, *company.keys)["id"] == second["id"]


def test_nothing_is_restored_over_what_is_there(company: Company) -> None:
    done = mainstay("restore-system", str(company.backup), *company.keys)
    assert (done.returncode, "is not empty" in done.stderr) == (1, True)
    new = company.go_to("new")
    (new / "evidence/ab").mkdir(parents=True)
    (new / "evidence/ab/abcdef").write_bytes(b"another")
    done = mainstay("import", str(company.backup), *company.keys)
    assert (done.returncode, "evidence/ab/abcdef is another file" in done.stderr) == (1, True)
    assert mainstay("migrate", "--dry-run").returncode == 0, "and the databases are as before"
    assert mainstay("backup-system", str(company.backup), *company.keys).returncode == 1


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _leave_a_row_out(path: Path) -> None:
    lines = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    path.write_bytes(gzip.compress(b"".join(lines[1:])))


def _change_a_count(path: Path) -> None:
    said = json.loads(path.read_text())
    said["services"][0]["tables"][0]["file"]["lines"] += 1
    path.write_text(json.dumps(said))


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("manifest.json", _flip),
        ("manifest.json", _change_a_count),
        ("manifest.json", Path.unlink),
        ("billing/audit_rows.jsonl.gz", _flip),
        ("billing/audit_rows.jsonl.gz", _leave_a_row_out),
        ("notify/consumer_positions.jsonl.gz", Path.unlink),
        ("log/records.jsonl.gz", _flip),
        ("keys.sealed", _flip),
        ("files.jsonl.gz", _flip),
        ("files/evidence/ab/abcdef", _flip),
        ("files/evidence/ab/abcdef", Path.unlink),
    ],
)
def test_what_is_damaged_is_named_and_nothing_is_restored(
    company: Company, name: str, damage: Callable[[Path], None]
) -> None:
    damage(company.backup / name)
    new = company.go_to("new")
    done = mainstay("restore-system", str(company.backup), *company.keys)
    assert (done.returncode, str(company.backup / name) in done.stderr) == (1, True), done.stderr
    assert not (new / "evidence").exists()
    assert told("migrate", "--dry-run")["pending"]["billing"]


def test_a_chain_that_was_broken_before_the_backup_is_named(company: Company) -> None:
    changing("contracts", lambda tx: tx.execute(sa.text("UPDATE audit_rows SET at = at + 1 WHERE seq = 2")))
    company.back_up()
    (finding,) = told("restore-system", str(company.backup), "--verify", "--quiet", code=1)["findings"]
    chain = "contracts: audit chain 00000000-0000-0000-0000-000000000007"
    assert finding == f"{chain} does not hold: row 2 does not have the hash it was sealed with."


class Killed(BaseException):
    """As kill -9: nobody catches it."""


SEAMS = ["load", "append_records", "take_mark_off"]


@pytest.mark.parametrize("seam", SEAMS)
def test_a_restore_that_was_cut_off_keeps_everything_shut_and_can_be_done_again(company: Company, seam: str) -> None:
    company.go_to("new")
    original, calls = getattr(unpacking, seam), 0

    async def die_in_the_middle(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2 or seam == "append_records":
            raise Killed()
        return await original(*arguments, **options)

    with patch.object(unpacking, seam, die_in_the_middle), pytest.raises(Killed):
        company.restore()
    shut = [mainstay("parked", "list", service) for service in SERVICES]
    assert any("being restored" in done.stderr for done in shut)
    assert all(done.returncode == 3 for done in shut) or seam == "take_mark_off"
    again = company.restore()
    assert again.get("completed", False) == (seam == "take_mark_off")
    assert [mainstay("parked", "list", service).returncode for service in SERVICES] == [0] * 4
    assert next_number() == "MS-2026-000002"


def test_the_old_log_tells_what_was_answered_since(company: Company) -> None:
    issue("MS-2026-000002")
    new = company.go_to("new")
    new.mkdir()
    shutil.copy(company.folder / "events.db", new)
    done = mainstay("restore-system", str(company.backup), *company.keys)
    assert (done.returncode, "--old-log" in done.stderr) == (1, True)
    restored = company.restore("--old-log")
    assert [fact["data"]["number"] for fact in restored["forgotten"]["billing"]] == ["MS-2026-000002"]
    assert next_number() == "MS-2026-000003"
    ends = {row.next_offset for row in changing("notify", lambda tx: tx.rows(sa.select(consumer_offsets)))}
    assert 2 in ends, "what has not happened any more is not heard"


def test_numbers_that_customers_and_partners_have_seen_are_not_given_again(company: Company) -> None:
    company.go_to("new")
    assert mainstay("restore-system", str(company.backup), "--last-number", "seven").returncode == 2
    assert mainstay("restore-system", str(company.backup), "--last-sequence", "seven").returncode == 2
    company.restore("--last-number", "MS-2026-000011")
    assert next_number() == "MS-2026-000012"


def test_nothing_is_restored_under_processes_that_run(company: Company) -> None:
    company.go_to("new")
    told("migrate")

    async def restore_meanwhile(runtime: Runtime) -> None:
        async with presence.present(runtime.database, "worker", lambda: None):
            done = await asyncio.to_thread(mainstay, "restore-system", str(company.backup), *company.keys)
            assert (done.returncode, "Processes of billing still run: worker" in done.stderr) == (1, True), done.stderr

    on("billing", restore_meanwhile)


def test_nothing_is_exported_from_under_processes_that_run_unless_that_is_wanted(company: Company) -> None:
    place = f"{company.backup}-2"

    async def export_meanwhile(runtime: Runtime) -> None:
        async with presence.present(runtime.database, "api", lambda: None):
            done = await asyncio.to_thread(mainstay, "export", place, *company.keys)
            assert (done.returncode, "Processes of notify still run: api" in done.stderr) == (1, True), done.stderr
            done = await asyncio.to_thread(mainstay, "export", place, "--while-running", *company.keys)
            assert done.returncode == 0, done.stderr

    on("notify", export_meanwhile)


def test_a_place_that_cannot_be_written_is_named(company: Company) -> None:
    done = mainstay("backup-system", str(company.passphrase_file / "below"), *company.keys)
    assert (done.returncode, str(company.passphrase_file) in done.stderr) == (3, True)


def test_what_cannot_be_read_or_would_wait_for_the_future_is_refused(company: Company) -> None:
    company.go_to("new")
    _say_in_manifest(company, revision="9999")
    done = mainstay("restore-system", str(company.backup), *company.keys)
    assert (done.returncode, "revision 9999" in done.stderr) == (1, True)
    _say_in_manifest(company, revision="0001", clock_moved=True)
    done = mainstay("restore-system", str(company.backup), *company.keys)
    assert (done.returncode, "MAINSTAY_CLOCK=virtual" in done.stderr) == (1, True)


def _say_in_manifest(company: Company, **of_each_service: object) -> None:
    said = manifest.read(company.backup)
    services = [service.model_copy(update=of_each_service) for service in said.services]
    (company.backup / manifest.NAME).unlink()
    manifest.write(company.backup, said.model_copy(update={"services": services}))
