"""A small installation on SQLite with something in every corner, and the command line on it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from deploy import environment
from deploy.opening import opened_log
from deploy.services import SERVICES
from shared.events.billing import InvoiceIssued
from shared.kit.bus import positions
from shared.kit.bus.positions import Position, Stream
from tests.deploy.cli.telling import next_number, seal_rows, tell_of_an_invoice
from tests.deploy.cli.test_commands import changing, park, told

INVOICE = UUID(int=7)


@dataclass
class Company:
    """`folder` is that of the data; `go_to` has later commands work on another one."""

    folder: Path
    go_to: Callable[[str], Path]
    backup: Path
    passphrase_file: Path

    @property
    def keys(self) -> list[str]:
        return ["--passphrase-file", str(self.passphrase_file), "--quiet"]

    def back_up(self) -> Any:
        """Once more, when it was."""
        shutil.rmtree(self.backup, ignore_errors=True)
        return told("backup-system", str(self.backup), *self.keys)

    def restore(self, *options: str, code: int = 0) -> Any:
        return told("restore-system", str(self.backup), *self.keys, *options, code=code)


@pytest.fixture
def company(lived_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Company:
    """One of this test's own, and its backup."""

    def go_to(name: str) -> Path:
        monkeypatch.setenv("MAINSTAY_DATA_DIR", str(tmp_path / name))
        return tmp_path / name

    shutil.copytree(lived_in, tmp_path, dirs_exist_ok=True)
    return _company_in(tmp_path, go_to)


def _company_in(folder: Path, go_to: Callable[[str], Path]) -> Company:
    return Company(go_to("old"), go_to, folder / "backup", folder / "passphrase")


@pytest.fixture(scope="session")
def lived_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once: the folders old/ and backup/, and the passphrase."""
    folder = tmp_path_factory.mktemp("moving")
    (folder / "passphrase").write_text("correct horse battery staple\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAINSTAY_DATA_DIR", str(folder / "old"))
        company = _company_in(folder, lambda name: folder / name)
        _live(company)
        company.back_up()
    return folder


def _live(company: Company) -> None:
    told("migrate")
    for service in SERVICES:
        seal_rows(service, 3)
    issue("MS-2026-000001")
    stream = Stream(InvoiceIssued.topic(), str(INVOICE))
    changing("notify", lambda tx: positions.write_positions(tx, "notify", {stream: Position(1, 1)}))
    changing("billing", park)
    evidence = company.folder / "evidence" / "ab" / "abcdef"
    evidence.parent.mkdir(parents=True)
    evidence.write_bytes(b"%PDF-1.4 a bank statement")


def issue(number: str) -> None:
    """Billing takes the next number, which is this one, and tells of the invoice."""
    assert next_number() == number
    tell_of_an_invoice(number, invoice_id=INVOICE)


def records_on_the_log() -> int:
    async def count() -> int:
        async with opened_log(environment.read_common()) as log:
            bounds = await log.bounds([InvoiceIssued.topic()])
            return sum(bound.end - bound.oldest for bound in bounds.values())

    return asyncio.run(count())
