"""Settings out of files, as Docker and Kubernetes mount secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy import environment
from deploy.environment import WrongSettings
from services.backup.settings import BackupSettings
from shared.kit.settings import CommonSettings

URL = "postgresql://mainstay:hunter2@db/billing"


@pytest.fixture
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MAINSTAY_SECRETS_DIR", str(tmp_path))
    return tmp_path


def test_a_file_named_like_its_variable_sets_it_without_its_last_line_end(secrets: Path) -> None:
    (secrets / "mainstay_billing_database_url").write_text(f"{URL}\n")
    url = environment.read_service("billing").database_url
    assert url is not None
    assert url.get_secret_value() == URL


def test_an_empty_file_says_nothing(secrets: Path) -> None:
    (secrets / "mainstay_backup_remote_repositories").write_text("\n")
    (secrets / "mainstay_port").touch()
    assert BackupSettings().remote_repositories is None
    assert CommonSettings().port == 8000


def test_a_list_is_json_in_a_file_too(secrets: Path) -> None:
    (secrets / "mainstay_oidc_algorithms").write_text('["ES256"]')
    assert CommonSettings().oidc_algorithms == ("ES256",)
    (secrets / "mainstay_oidc_algorithms").write_text("ES256")
    with pytest.raises(WrongSettings, match=r"^MAINSTAY_OIDC_ALGORITHMS: is not JSON"):
        environment.read(CommonSettings)


def test_the_environment_wins_over_a_file(secrets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (secrets / "mainstay_port").write_text("9000")
    assert CommonSettings().port == 9000
    monkeypatch.setenv("MAINSTAY_PORT", "9001")
    assert CommonSettings().port == 9001


def test_a_secret_with_two_values_is_refused_by_its_name(secrets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = secrets / "mainstay_billing_database_url"
    file.write_text(URL)
    monkeypatch.setenv("MAINSTAY_BILLING_DATABASE_URL", URL)
    environment.read_service("billing")
    monkeypatch.setenv("MAINSTAY_BILLING_DATABASE_URL", URL.replace("hunter2", "hunter3"))
    with pytest.raises(WrongSettings) as refused:
        environment.read_service("billing")
    assert refused.value.lines == [
        f"MAINSTAY_BILLING_DATABASE_URL: is set to one value here and to another in {file}: remove one of them"
    ]


def test_every_file_that_cannot_be_read_is_named_with_its_variable(secrets: Path) -> None:
    (secrets / "mainstay_backup_database_url").mkdir()
    (secrets / "mainstay_backup_repositories").write_bytes(b"\xff\xfe")
    (secrets / "mainstay_backup_restic").symlink_to(secrets / "gone")
    (secrets / "mainstay_backup_key_file").write_bytes(b"x" * 65_537)
    with pytest.raises(WrongSettings) as refused:
        environment.read(BackupSettings)
    assert refused.value.lines == [
        f"MAINSTAY_BACKUP_DATABASE_URL: {secrets}/mainstay_backup_database_url: Is a directory",
        f"MAINSTAY_BACKUP_RESTIC: {secrets}/mainstay_backup_restic: No such file or directory",
        f"MAINSTAY_BACKUP_REPOSITORIES: {secrets}/mainstay_backup_repositories: is not a text in UTF-8",
        f"MAINSTAY_BACKUP_KEY_FILE: {secrets}/mainstay_backup_key_file: is longer than 65536 bytes",
    ]


def test_a_process_reads_the_files_of_its_own_settings_only(secrets: Path) -> None:
    (secrets / "mainstay_contracts_database_url").mkdir()
    (secrets / "mainstay_billing_database_url").write_text(URL)
    (secrets / "..data").mkdir()
    (secrets / "another_applications_password").write_text("hunter2")
    assert environment.read_service("billing").database_url is not None
    assert environment.read_common().mode == "development"


def test_a_folder_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MAINSTAY_SECRETS_DIR", str(tmp_path / "gone"))
    with pytest.raises(WrongSettings, match=r"^MAINSTAY_SECRETS_DIR: .*/gone: No such file or directory$"):
        environment.read_common()
