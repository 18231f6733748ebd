"""What the tests of settings and of the doctor share."""

from __future__ import annotations

from typing import Protocol

import pytest


class Given(Protocol):
    def __call__(self, **settings: str) -> None:
        """Set `MAINSTAY_…` for this test."""
        ...


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Given:
    def set_all(**settings: str) -> None:
        for name, value in settings.items():
            monkeypatch.setenv(f"MAINSTAY_{name.upper()}", value)

    return set_all
