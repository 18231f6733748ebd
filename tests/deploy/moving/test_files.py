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
    files.seal(files.keys_of(Folders(old), safe / "master"), PASSPHRASE, sealed)
    keys = files.unseal(sealed, PASSPHRASE)
    assert set(keys) == {"audit.pem", "backup.key", "backup.key.next"}
    files.put_keys(keys, Folders(new), None)
    assert {path.name: path.read_bytes() for path in (new / "keys").iterdir()} == keys
    files.put_keys(keys, Folders(new), tmp_path / "elsewhere/key")
    assert (tmp_path / "elsewhere/key.next").read_bytes() == b"master.next"


def test_one_key_for_all_becomes_each_services_and_each_services_stays_its_own(tmp_path: Path) -> None:
    files.put_keys({"audit.pem": b"of all", "backup.key": b"master"}, Folders(tmp_path, each=True), None)
    (tmp_path / "notify/keys/audit.pem").write_bytes(b"of notify")
    keys = files.keys_of(Folders(tmp_path, each=True), None)
    assert keys.pop("notify/audit.pem") == b"of notify"
    assert keys.pop("backup.key") == b"master"
    assert keys == {f"{service}/audit.pem": b"of all" for service in ("contracts", "billing", "backup")}
    files.put_keys({**keys, "notify/audit.pem": b"of notify"}, Folders(tmp_path, each=True), None)


def test_a_key_never_takes_the_place_of_another(tmp_path: Path) -> None:
    files.put_keys({"audit.pem": b"one"}, Folders(tmp_path), None)
    with pytest.raises(AnotherFileThere):
        files.put_keys({"audit.pem": b"another", "more.pem": b"more"}, Folders(tmp_path), None)
    assert [path.read_bytes() for path in (tmp_path / "keys").iterdir()] == [b"one"]
