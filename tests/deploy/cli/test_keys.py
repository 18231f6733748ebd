"""Keys and their successors: what the old one signed or opened is still there, and the old one ends."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch
from uuid import UUID

import pytest
import sqlalchemy as sa

from services.contracts.db.tables import secret_values
from shared.kernel.ids import new_id
from shared.kit import audit_trail, signing_keys
from shared.kit.runtime import Runtime
from shared.kit.signed_heads import Head, SignedHeads, signed_text
from shared.kit.signing_keys import SigningKeys, signing_key
from shared.kit.tables import audit_rows
from tests.deploy.cli.test_commands import changing, mainstay, on, told
from tests.infrastructure import requirements, small_disk
from tests.infrastructure.small_disk import SmallDisk
from tests.infrastructure.transit import TOKEN, transit_server
from tests.support.vault import a_secret

CHAIN = UUID(int=7)
KEYS_PAGE = Path(__file__).parents[3] / "docs" / "operations" / "keys.md"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation whose billing service has signed a head, to be copied."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("MAINSTAY_DATA_DIR", str(folder))
        told("migrate", "billing")
        seal()
    return folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: Path) -> Path:
    """The data folder of the commands."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.setenv("MAINSTAY_DATA_DIR", str(tmp_path))
    return tmp_path


def seal() -> None:
    async def work(runtime: Runtime) -> None:
        async with runtime.database.transaction() as tx:
            audit_trail.record(tx, CHAIN, "do", new_id())
        await audit_trail.Sealer(runtime.database, "billing", runtime.data_dir).seal()

    on("billing", work)


def reasons() -> list[str]:
    found = json.loads(mainstay("audit", "verify", "billing", "--json").stdout)
    return [each["reason"] for each in found["breaks"]]


def heads_in(folder: Path) -> Path:
    return folder / "audit" / "billing.heads.jsonl"


def test_what_every_key_signed_verifies_after_two_successions(folder: Path) -> None:
    first = told("keys", "rotate", "audit")
    seal()
    second = told("keys", "rotate", "audit")
    seal()
    assert second["before"] == first["id"]
    signers = [json.loads(line)["key"] for line in heads_in(folder).read_text().splitlines()]
    assert list(dict.fromkeys(signers)) == [first["before"], first["id"], second["id"]]
    assert reasons() == []
    (listed,) = [key for key in told("keys", "list") if key["kind"] == "audit"]
    assert (listed["id"], listed["state"]) == (second["id"], "in use, 2 before it")
    rows = changing("billing", lambda tx: tx.rows(sa.select(audit_rows.c.event).order_by(audit_rows.c.id)))
    recorded = [row.event for row in rows if row.event["verb"] == "rotate-key"]
    assert [(event["kind"], event["key"]) for event in recorded] == [("audit", first["id"]), ("audit", second["id"])]


def test_a_running_sealer_goes_on_with_the_successor(folder: Path) -> None:
    async def work(runtime: Runtime) -> None:
        sealer = audit_trail.Sealer(runtime.database, "billing", runtime.data_dir)
        keys = SigningKeys(runtime.data_dir)
        for _ in range(2):
            async with runtime.database.transaction() as tx:
                audit_trail.record(tx, CHAIN, "do", new_id())
            await sealer.seal()
            keys.rotate(keys.successor(), runtime.database.clock.now())

    on("billing", work)
    assert reasons() == []


def test_what_a_stolen_and_retired_key_signs_does_not_hold(folder: Path) -> None:
    stolen = signing_key(folder / "keys" / "audit.pem")
    name = told("keys", "rotate", "audit")["before"]
    seal()
    forged = Head(CHAIN, 9, "0" * 64)
    signature = stolen.sign(signed_text("billing", [forged], restored=False)).hex()
    line = {"heads": [[str(CHAIN), 9, forged.hash]], "key": name, "signature": signature}
    with heads_in(folder).open("a") as file:
        file.write(f"{json.dumps(line)}\n")
    assert any("was retired before this line" in reason for reason in reasons())


def replaced_key(folder: Path) -> None:
    """By one that nobody signed."""
    (folder / "keys" / "audit.pem").unlink()
    signing_key(folder / "keys" / "audit.pem")


def foreign_entry(folder: Path) -> None:
    other = folder / "other"
    keys = SigningKeys(other)
    (other / "audit").mkdir()
    keys.rotate(keys.successor(), audit_trail._EPOCH)
    entry = keys.record.read_text().splitlines()[1]
    with (folder / "audit" / "keys.jsonl").open("a") as file:
        file.write(f"{entry}\n")


def no_record(folder: Path) -> None:
    (folder / "audit" / "keys.jsonl").unlink()


@pytest.mark.parametrize(
    ("tamper", "reason"),
    [
        (replaced_key, "which is not the last on record"),
        (foreign_entry, "the key before it did not sign key"),
        (no_record, "is not on record"),
    ],
)
def test_a_key_that_nobody_signed_is_found(folder: Path, tamper: Callable[[Path], Any], reason: str) -> None:
    told("keys", "rotate", "audit")
    seal()
    tamper(folder)
    assert any(reason in each for each in reasons())
    if tamper is not no_record:
        assert mainstay("keys", "rotate", "audit").returncode == 1


class Killed(BaseException):
    """In place of the death of the process."""


@pytest.mark.parametrize(("at", "times"), [("os.fsync", 1), ("os.fsync", 2), ("os.fsync", 3), ("put_in_place", 1)])
def test_a_rotation_killed_anywhere_leaves_a_trail_that_holds_and_goes_on(folder: Path, at: str, times: int) -> None:
    module, _, name = at.rpartition(".")
    target = f"shared.kit.signing_keys.{module + '.' if module else ''}{name}"
    calls = 0
    real = getattr(os if module else signing_keys, name)

    def die(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == times:
            raise Killed
        return real(*arguments)

    with patch(target, die), pytest.raises(Killed):
        told("keys", "rotate", "audit")
    seal()
    assert reasons() == []
    after = told("keys", "rotate", "audit")["id"]
    seal()
    assert reasons() == []
    assert [key["id"] for key in told("keys", "list") if key["kind"] == "audit"] == [after]
    assert not (folder / "keys" / "audit.pem.next").exists()


def test_half_an_entry_of_a_killed_rotation_is_none(folder: Path) -> None:
    told("keys", "rotate", "audit")
    record = folder / "audit" / "keys.jsonl"
    record.write_text(f"{record.read_text()}{record.read_text()[:60]}")
    assert reasons() == []
    told("keys", "rotate", "audit")
    seal()
    assert reasons() == []


def test_two_rotations_at_once_are_one(folder: Path) -> None:
    descriptor = os.open(folder / "keys", os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        done = mainstay("keys", "rotate", "audit")
    finally:
        os.close(descriptor)
    assert (done.returncode, done.stderr.strip()) == (3, "Another rotation of keys is running in this data folder.")


def test_nothing_is_signed_with_the_old_key_once_the_new_one_is_in_place(tmp_path: Path) -> None:
    keys, signed = SigningKeys(tmp_path), []
    held, free = threading.Event(), threading.Event()

    def sign() -> None:
        with SigningKeys(tmp_path).in_use() as signer:
            held.set()
            free.wait(10)
            signed.append(signer.id)

    first = keys.known()[0].id
    writer = threading.Thread(target=sign)
    writer.start()
    assert held.wait(10)
    rotation = threading.Thread(target=lambda: signed.append(keys.rotate(keys.successor(), audit_trail._EPOCH)))
    rotation.start()
    free.set()
    writer.join(10)
    rotation.join(10)
    assert signed == [first, first], "the rotation waited for the signature under way"
    heads = SignedHeads(tmp_path / "audit" / "billing.heads.jsonl", "billing", keys)
    heads.append([Head(CHAIN, 1, "a")])
    assert json.loads(heads_in(tmp_path).read_text())["key"] == keys.known()[-1].id != first


def test_development_tokens_end_with_their_key(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert mainstay("keys", "rotate", "development-issuer").returncode == 1, "there is none yet"
    told("token", "admin")
    rotated = told("keys", "rotate", "development-issuer")
    assert rotated["before"] != rotated["id"]
    assert [key["id"] for key in told("keys", "list") if key["kind"] == "development-issuer"] == [rotated["id"]]
    monkeypatch.setenv("MAINSTAY_MODE", "production")
    monkeypatch.setenv("MAINSTAY_OIDC_ISSUER", "https://id.example")
    assert mainstay("keys", "rotate", "development-issuer").returncode == 2


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(("audit", "--leave-old"), 2), (("backup",), 1), (("unheard-of",), 2)],
    ids=["an option of backup's", "no key yet", "no such kind"],
)
def test_what_cannot_be_rotated_is_said(folder: Path, arguments: tuple[str, ...], code: int) -> None:
    if arguments == ("backup",):
        told("migrate", "backup")
    done = mainstay("keys", "rotate", *arguments)
    assert (done.returncode, bool(done.stderr)) == (code, True)


def wrapped_by() -> list[str]:
    rows = changing("contracts", lambda tx: tx.rows(sa.select(secret_values.c.key_id)))
    return [row.key_id.removeprefix("file:") for row in rows]


def test_the_key_of_the_vault_is_replaced_and_every_secret_opens_with_the_new_one(folder: Path) -> None:
    told("migrate", "contracts")
    nothing = mainstay("keys", "rotate", "vault")
    assert nothing.returncode == 1
    assert "no other can follow it" in nothing.stderr
    for _ in range(3):
        on("contracts", lambda runtime: a_secret(runtime, "opens nothing"))
    before = wrapped_by()[0]
    done = told("keys", "rotate", "vault")
    assert (done["secrets"], done["stays"], done["take_away"]) == (3, [], None)
    assert set(wrapped_by()) == {done["id"]} != {before}
    [listed] = [key for key in told("keys", "list") if key["kind"] == "vault"]
    assert (listed["id"], listed["state"]) == (done["id"], "in use")
    assert sorted(path.name for path in (folder / "keys").glob("vault*")) == ["vault.key"]
    assert mainstay("keys", "rotate", "vault", "--leave-old").returncode == 2
    rows = changing("contracts", lambda tx: tx.rows(sa.select(audit_rows.c.event).order_by(audit_rows.c.id)))
    recorded = [row.event for row in rows if row.event["verb"] == "rotate-key"]
    assert [(event["kind"], event.get("key", "").removeprefix("file:")) for event in recorded] == [
        ("vault", ""),
        ("vault", done["id"]),
    ]


def test_a_secret_whose_key_is_not_there_keeps_the_old_key_and_is_named(folder: Path) -> None:
    told("migrate", "contracts")
    lost = on("contracts", lambda runtime: a_secret(runtime, "opens nothing"))
    (folder / "keys" / "vault.key").write_bytes(b"another key, as long as the first")
    done = mainstay("keys", "rotate", "vault")
    assert done.returncode == 1
    assert str(lost) in done.stderr
    assert "Traceback" not in done.stderr
    assert (folder / "keys" / "vault.key.retired").exists()
    [listed] = [key for key in told("keys", "list") if key["kind"] == "vault"]
    assert listed["state"].startswith("in use, but the one before it may still open secrets")


def test_a_vault_key_that_is_a_secret_gets_its_successor_from_where_it_comes(
    folder: Path, secret: SmallDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, retired = secret.path / "vault.key", secret.path / "vault.key.retired"
    monkeypatch.setenv("MAINSTAY_CONTRACTS_VAULT_KEY_FILE", str(key))
    told("migrate", "contracts")

    def give(in_use: bytes, before: bytes) -> None:
        secret.set_read_only(False)
        key.write_bytes(in_use)
        retired.write_bytes(before)
        secret.set_read_only(True)

    give(b"1" * 32, b"")
    on("contracts", lambda runtime: a_secret(runtime, "opens nothing"))
    refused = mainstay("keys", "rotate", "vault")
    assert refused.returncode == 1
    assert f"the key in use as {retired}" in refused.stderr
    assert "*A vault key that is a secret*" in refused.stderr
    assert "## A vault key that is a secret" in KEYS_PAGE.read_text()
    give(b"2" * 32, b"1" * 32)
    done = told("keys", "rotate", "vault")
    assert (done["secrets"], done["take_away"]) == (1, str(retired))
    give(b"2" * 32, b"")
    assert wrapped_by() == [done["id"]]


def test_a_transit_engine_takes_over_from_the_file_and_is_rotated_by_the_same_command(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told("migrate", "contracts")
    on("contracts", lambda runtime: a_secret(runtime, "opens nothing"))
    with transit_server() as transit:
        monkeypatch.setenv("MAINSTAY_CONTRACTS_VAULT_TRANSIT_URL", transit.url)
        monkeypatch.setenv("MAINSTAY_CONTRACTS_VAULT_TRANSIT_TOKEN", TOKEN)
        for version in (2, 3):
            done = told("keys", "rotate", "vault")
            assert (done["id"], done["secrets"]) == (f"transit:transit/mainstay:v{version}", 1)
            assert transit.min_decryption_version == version
    away = mainstay("keys", "rotate", "vault")
    assert away.returncode == 3
    assert TOKEN not in away.stderr


@pytest.fixture
def secret() -> Iterator[SmallDisk]:
    """Where a key is mounted, read-only."""
    with requirements.or_do_without("tmpfs"), small_disk.mounted(1) as mounted:
        yield mounted


def test_a_backup_key_that_is_a_secret_gets_its_successor_from_where_it_comes(
    folder: Path, secret: SmallDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, retired = secret.path / "backup.key", secret.path / "backup.key.retired"
    monkeypatch.setenv("MAINSTAY_BACKUP_KEY_FILE", str(key))
    told("migrate", "backup")

    def give(in_use: bytes, before: bytes) -> None:
        secret.set_read_only(False)
        key.write_bytes(in_use)
        retired.write_bytes(before)
        secret.set_read_only(True)

    def listed() -> dict[str, Any]:
        found: list[dict[str, Any]] = [each for each in told("keys", "list") if each["kind"] == "backup"]
        return found[0]

    give(b"1" * 32, b"")
    first = listed()
    refused = mainstay("keys", "rotate", "backup")
    assert refused.returncode == 1
    assert f"the key in use as {retired}" in refused.stderr
    assert "*A backup key that is a secret*" in refused.stderr
    assert "## A backup key that is a secret" in KEYS_PAGE.read_text()
    assert "Traceback" not in refused.stderr

    give(b"2" * 32, b"1" * 32)
    assert listed()["state"].startswith("in use, but the one before it may still open repositories")
    done = told("keys", "rotate", "backup")
    assert (done["id"], done["take_away"]) == (listed()["id"], str(retired))
    assert secret.files() == {"backup.key", "backup.key.retired"}

    give(b"2" * 32, b"")
    assert listed()["state"] == "in use"
    rows = changing("backup", lambda tx: tx.rows(sa.select(audit_rows.c.event).order_by(audit_rows.c.id)))
    recorded = [row.event for row in rows if row.event["verb"] == "rotate-key"]
    assert [event.get("before") for event in recorded] == [first["id"], None], "what was refused is not on record"
