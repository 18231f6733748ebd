"""Keys travel sealed and come to where this installation keeps them."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.moving import files
from deploy.moving.files import AnotherFileThere
from deploy.moving.folders import Folders

PASSPHRASE = "correct horse battery staple"


def test_a_repository_key_that_is_replaced_right_now_travels_between_folders_of_different_names(tmp_path: Path) -> None:
    old, new, safe = (tmp_path / name for name in ("old", "new", "safe"))
    for path in (old / "keys/audit.pem", safe / "master", safe / "master.next", safe / "masterly"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(path.name.encode())
    sealed = tmp_path / "keys.sealed"
    files.seal(files.keys_of(Folders(old), {"backup.key": safe / "master"}), PASSPHRASE, sealed)
    keys = files.unseal(sealed, PASSPHRASE)
    assert set(keys) == {"audit.pem", "backup.key", "backup.key.next"}
    files.put_keys(keys, Folders(new), {})
    assert {path.name: path.read_bytes() for path in (new / "keys").iterdir()} == keys
    files.put_keys(keys, Folders(new), {"backup.key": tmp_path / "elsewhere/key"})
    assert (tmp_path / "elsewhere/key.next").read_bytes() == b"master.next"


def test_one_key_for_all_becomes_each_services_and_each_services_stays_its_own(tmp_path: Path) -> None:
    files.put_keys({"audit.pem": b"of all", "backup.key": b"master"}, Folders(tmp_path, each=True), {})
    (tmp_path / "notify/keys/audit.pem").write_bytes(b"of notify")
    keys = files.keys_of(Folders(tmp_path, each=True), {})
    assert keys.pop("notify/audit.pem") == b"of notify"
    assert keys.pop("backup.key") == b"master"
    assert keys == {f"{service}/audit.pem": b"of all" for service in ("contracts", "billing", "backup")}
    files.put_keys({**keys, "notify/audit.pem": b"of notify"}, Folders(tmp_path, each=True), {})


def test_the_key_of_the_vault_goes_to_contracts_and_to_nobody_else(tmp_path: Path) -> None:
    """Also while it is replaced, and wherever either installation keeps it."""
    one, each, given = tmp_path / "one", Folders(tmp_path / "each", each=True), tmp_path / "secrets" / "vault_key"
    for name in ("vault.key", "vault.key.retired", "audit.pem"):
        (one / "keys" / name).parent.mkdir(parents=True, exist_ok=True)
        (one / "keys" / name).write_bytes(name.encode())
    files.put_keys(files.keys_of(Folders(one), {}), each, {})
    assert {path.name for path in (each.root / "contracts/keys").iterdir()} == {
        "vault.key",
        "vault.key.retired",
        "audit.pem",
    }
    assert [path.name for path in (each.root / "billing/keys").iterdir()] == ["audit.pem"]
    files.put_keys(files.keys_of(each, {}), Folders(tmp_path / "moved", each=True), {"vault.key": given})
    assert (given.read_bytes(), given.with_name("vault_key.retired").read_bytes()) == (
        b"vault.key",
        b"vault.key.retired",
    )
    assert not list((tmp_path / "moved").rglob("vault*"))
    assert files.keys_of(Folders(tmp_path / "empty"), {"vault.key": given}).keys() == {"vault.key", "vault.key.retired"}


def test_a_key_never_takes_the_place_of_another(tmp_path: Path) -> None:
    files.put_keys({"audit.pem": b"one"}, Folders(tmp_path), {})
    with pytest.raises(AnotherFileThere):
        files.put_keys({"audit.pem": b"another", "more.pem": b"more"}, Folders(tmp_path), {})
    assert [path.read_bytes() for path in (tmp_path / "keys").iterdir()] == [b"one"]
