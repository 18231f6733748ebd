"""`mainstay restored`: what one service knows again after its database was put back to a backup."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.cli.telling import next_number, seal_rows, tell_of_an_invoice
from tests.deploy.cli.test_commands import mainstay, told


@pytest.fixture
def billing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The database of a billing service in a data folder that commands and this test share."""
    monkeypatch.setenv("MAINSTAY_DATA_DIR", str(tmp_path))
    told("migrate", "billing")
    return tmp_path / "billing.db"


def put_back_after(database: Path, work: Callable[[], Any]) -> None:
    """Back up, go on, and restore the backup."""
    copy = database.with_name("backup")
    shutil.copy(database, copy)
    work()
    shutil.copy(copy, database)


def test_a_number_that_was_told_since_the_backup_is_not_given_again(billing: Path) -> None:
    assert next_number() == "MS-2026-000001"
    put_back_after(billing, lambda: tell_of_an_invoice("MS-2026-000007"))
    said = told("restored", "billing")
    assert [fact["data"]["number"] for fact in said["forgotten"]] == ["MS-2026-000007"]
    assert next_number() == "MS-2026-000008"
    tell_of_an_invoice("MS-2026-000008")
    again = told("restored", "billing")
    assert again["epoch"] > said["epoch"]
    assert next_number() == "MS-2026-000009", "what is known is not taken for lost"


def test_the_operator_may_know_of_a_later_number_than_the_log(billing: Path) -> None:
    told("restored", "billing", "--last-number", "MS-2026-000011")
    assert next_number() == "MS-2026-000012"
    told("restored", "billing", "--last-number", "MS-2026-000003")
    assert next_number() == "MS-2026-000013"


@pytest.mark.parametrize(("service", "number"), [("billing", "the last one"), ("notify", "MS-2026-000011")])
def test_a_number_is_one_and_is_billings(billing: Path, service: str, number: str) -> None:
    done = mainstay("restored", service, "--last-number", number)
    assert done.returncode == 2
    assert "--last-number" in done.stderr


def test_the_audit_trail_verifies_again_and_goes_on_from_the_backup(billing: Path) -> None:
    seal_rows("billing", 5)
    put_back_after(billing, lambda: seal_rows("billing", 3))
    (broken,) = told("audit", "verify", "billing", code=1)["breaks"]
    assert broken["reason"] == "is missing: the signed head is at 8"
    told("restored", "billing")
    assert told("audit", "verify", "billing")["rows"] == 5
    seal_rows("billing", 4)
    assert told("audit", "verify", "billing")["breaks"] == []


def test_who_cannot_sign_cannot_say_that_a_shorter_trail_was_restored(billing: Path) -> None:
    seal_rows("billing", 2)
    put_back_after(billing, lambda: seal_rows("billing", 3))
    heads = billing.parent / "audit" / "billing.heads.jsonl"
    first = heads.read_text().splitlines()[0]
    heads.write_text(heads.read_text() + first.replace('"key"', '"restored": true, "key"') + "\n")
    reasons = [each["reason"] for each in told("audit", "verify", "billing", code=1)["breaks"]]
    assert any("signature does not hold" in reason for reason in reasons)
    assert any("the signed head is at 5" in reason for reason in reasons)
