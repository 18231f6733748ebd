"""The scripts that make secrets up: all that is named is made, once, for its owner's eyes."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from tests.deploy.compose.files import FOLDER, installation

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl here: apt-get install openssl")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compose") / "secrets"
    make(folder)
    return folder


def make(folder: Path) -> None:
    for script in ("secrets.sh", "production-secrets.sh"):
        subprocess.run([FOLDER / script, folder], check=True, capture_output=True, timeout=60)


def test_every_secret_that_is_named_is_made_and_the_folder_is_its_owners(folder: Path) -> None:
    named = set(installation("development")["secrets"]) | set(installation("production")["secrets"])
    assert named <= set(os.listdir(folder))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "authority.key").stat().st_mode) == 0o600


def test_only_who_tries_things_out_is_given_a_place_for_remote_backups(folder: Path, tmp_path: Path) -> None:
    """In production it is elsewhere, so the file is empty until its operator says where."""
    place = "backup_remote_repositories"
    assert (folder / place).read_text() == (folder / place.replace("remote", "remote_deleting")).read_text() == ""
    assert "remote" not in (folder / "rest_server_users").read_text()
    subprocess.run([FOLDER / "secrets.sh", tmp_path, "remote"], check=True, timeout=60)
    password = (tmp_path / "remote_adding_password").read_text().strip()
    assert (tmp_path / place).read_text() == f"rest:http://remote:{password}@rest-server:8000/remote\n"
    assert [line.split(":")[0] for line in (tmp_path / "rest_server_users").read_text().splitlines()] == [
        "mainstay",
        "remote",
    ]


def test_what_is_there_stays(folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    make(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_two_at_once_are_one(tmp_path: Path) -> None:
    for script in ("secrets.sh", "production-secrets.sh"):
        both = [subprocess.Popen([FOLDER / script, tmp_path], stderr=subprocess.PIPE) for _ in range(2)]
        assert [(one.communicate(timeout=60)[1], one.returncode) for one in both] == [(b"", 0), (b"", 0)]
    assert not list(tmp_path.glob("*.new"))


def test_what_openssl_refuses_is_said(tmp_path: Path) -> None:
    (tmp_path / "kafka_ca").write_text("of an authority of one's own, without its key")
    done = subprocess.run([FOLDER / "production-secrets.sh", tmp_path], capture_output=True, text=True, timeout=60)
    assert (done.returncode, "authority" in done.stderr) == (1, True)
    assert not (tmp_path / "kafka_1_keystore").exists()


def test_passwords_differ_and_cannot_be_guessed(folder: Path) -> None:
    passwords = [path.read_text().strip() for path in folder.glob("*_password") if path.name != "notify_smtp_password"]
    assert len(set(passwords)) == len(passwords) >= 12
    assert {len(password) for password in passwords} == {64}


def test_each_brokers_certificate_is_for_its_name_and_of_the_authority(folder: Path) -> None:
    for broker in ("kafka-1", "kafka-2", "kafka-3"):
        keystore = folder / f"{broker.replace('-', '_')}_keystore"
        subprocess.run(
            ["openssl", "verify", "-CAfile", folder / "kafka_ca", "-verify_hostname", broker, keystore],
            check=True,
            capture_output=True,
            timeout=20,
        )
