"""An own folder of agreements and an own catalogue, as the company publishes them."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import pytest

from services.contracts.db import agreements, catalogue
from services.contracts.domain.agreement import Agreements
from services.contracts.domain.catalogue import Catalogue, Plan

Replaced = tuple[str, str]
FILES = ("en.md", "zh.md", "parameters.toml")


class Folders:
    """Starts with the shipped version; `folder` is where a version lies."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self._monkeypatch = monkeypatch
        shutil.copytree(agreements.FOLDER, root)
        self.serve()

    def folder(self, version: str) -> Path:
        return self.root / version

    def write(
        self,
        version: str,
        effective_from: datetime,
        *,
        en: Iterable[Replaced] = (),
        zh: Iterable[Replaced] = (),
        parameters: Iterable[Replaced] = (),
        within: Path | None = None,
    ) -> Path:
        """A version like the shipped one but for what is replaced, which has to be there."""
        folder = (within or self.root) / version
        shutil.copytree(agreements.FOLDER / "2026-1", folder)
        start = ("2026-01-01T00:00:00Z", effective_from.isoformat())
        for name, replaced in zip(FILES, (en, zh, [start, *parameters]), strict=True):
            self.edit(folder / name, *replaced)
        return folder

    @staticmethod
    def edit(file: Path, *replaced: Replaced) -> None:
        text = file.read_text(encoding="utf-8")
        for old, new in replaced:
            assert old in text, f"{file.name} does not say: {old}"
            text = text.replace(old, new)
        file.write_bytes(text.encode())

    def put_back(self, away: Path) -> None:
        """A folder that was moved away is found again."""
        away.rename(self.root / away.name)
        self.serve()

    def serve(self) -> Agreements:
        """What a process that is started now reads and serves."""
        book = agreements.read_folder(self.root)
        self._monkeypatch.setattr(agreements, "published", lambda: book)
        return book


def serve_plans(monkeypatch: pytest.MonkeyPatch, *plans: Plan) -> Catalogue:
    """A catalogue of these plans only."""
    book = Catalogue(plans, catalogue.read_file(catalogue.FILE).operations)
    monkeypatch.setattr(catalogue, "published", lambda: book)
    return book
