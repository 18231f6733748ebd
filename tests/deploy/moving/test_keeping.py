"""A folder of backups has the newest in it, and never loses one to a backup that fails."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deploy.moving.keeping import AnotherBackup, making_room
from tests.deploy.cli.test_commands import mainstay, told
from tests.deploy.moving.conftest import Company

NOW = datetime(2026, 5, 1, 2, 17, tzinfo=UTC)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_newest_stay_and_what_is_not_a_backup_of_ours_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "2020-01-01T000000Z.unfinished").mkdir()
    (tmp_path / "before-the-move").mkdir()
    for night in range(4):
        with making_room(tmp_path, NOW + timedelta(days=night), keep=2) as backup:
            backup.mkdir()
    assert names_in(tmp_path) == ["2026-05-03T021700Z", "2026-05-04T021700Z", "before-the-move"]


def test_a_backup_that_fails_costs_none_that_is_there(tmp_path: Path) -> None:
    with making_room(tmp_path, NOW, keep=1) as backup:
        backup.mkdir()
    with pytest.raises(OSError, match="no room"), making_room(tmp_path, NOW + timedelta(days=1), keep=1):
        raise OSError("no room")
    assert names_in(tmp_path) == ["2026-05-01T021700Z"]


def test_two_at_once_do_not_tidy_each_other_away(tmp_path: Path) -> None:
    with making_room(tmp_path, NOW, keep=1), pytest.raises(AnotherBackup), making_room(tmp_path, NOW, keep=1):
        pass


def test_a_backup_that_is_kept_among_others_says_where_and_can_be_restored(company: Company) -> None:
    folder = company.backup.parent / "nightly"
    said = told("backup-system", str(folder), "--keep", "3", *company.keys)
    assert [said["place"]] == [str(folder / name) for name in names_in(folder)]
    company.go_to("new")
    assert told("restore-system", said["place"], *company.keys)["id"] == said["id"]
    done = mainstay("backup-system", "restic:anywhere", "--keep", "3", *company.keys)
    assert (done.returncode, "--keep is for a folder" in done.stderr) == (2, True)
