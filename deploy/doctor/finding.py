"""What the doctor finds: where, how bad it is, what it is, and the command or setting that mends it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from deploy import services
from shared.kit.settings import ServiceSettings, SettingsAsGiven


class Severity(StrEnum):
    OK = "ok"
    WARNING = "warning"
    """It runs, but not as well or as safely as it should."""
    ERROR = "error"
    """Something does not work, or will not at the next start."""


@dataclass(frozen=True)
class Finding:
    """`found` and `remedy` hold no secret and no personal data; what is ok needs no remedy."""

    part: str
    severity: Severity
    found: str
    remedy: str = ""


def ok(part: str, found: str) -> Finding:
    return Finding(part, Severity.OK, found)


def warning(part: str, found: str, remedy: str) -> Finding:
    return Finding(part, Severity.WARNING, found, remedy)


def error(part: str, found: str, remedy: str) -> Finding:
    return Finding(part, Severity.ERROR, found, remedy)


def without_user(address: str) -> str:
    """As it may be shown: who signs in there, and with what, is nobody's to read."""
    return re.sub(r"//[^/@\s]*@", "//…@", address)


@dataclass(frozen=True)
class Patient:
    """The installation as its settings describe it; `services` are those that are looked at."""

    common: SettingsAsGiven
    services: Mapping[str, ServiceSettings]

    @property
    def in_production(self) -> bool:
        return self.common.mode == "production"

    @property
    def data_dir(self) -> Path:
        return self.common.data_dir.absolute()

    @property
    def is_whole(self) -> bool:
        return set(self.services) == set(services.SERVICES)

    def waits(self, part: str, found: str, remedy: str) -> Finding:
        """What a start in development brings about by itself, and production wants done before."""
        return error(part, found, remedy) if self.in_production else warning(part, found, remedy)
