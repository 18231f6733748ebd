"""Which software a customer says is on a server, and under which licence (4.1): declared in versions."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from services.contracts.domain.judgements import judgements
from shared.kernel.errors import Conflict, Invalid, NotFound, TooLarge
from shared.kernel.judgement import Facts, Verdict

MOST_COMPONENTS = 5000
NO_ASSERTION = "NOASSERTION"
"""Of software whose bill of materials says nothing about its licence."""


class NoSuchSoftwareDeclaration(NotFound):
    """There is no such declaration of software, or it is not yours."""


class UnknownLicence(Invalid):
    """A licence is an expression of SPDX licence identifiers."""

    clause: ClassVar[str | None] = "4.1"


class UnreadableBill(Invalid):
    """A bill of materials is CycloneDX 1.x as JSON or XML, or SPDX 2.x as JSON."""

    clause: ClassVar[str | None] = "4.1"


class TooMuchSoftware(TooLarge):
    """A bill of materials is at most 4 MiB, and lists at most 5,000 components."""

    clause: ClassVar[str | None] = "4.1"


class UndeclaredSoftware(Conflict):
    """The work touches software that is not declared on the server; it is held until it is."""

    clause: ClassVar[str | None] = "4.1"


class Source(StrEnum):
    BY_HAND = "by-hand"
    CYCLONEDX_JSON = "cyclonedx-json"
    CYCLONEDX_XML = "cyclonedx-xml"
    SPDX_JSON = "spdx-json"


@dataclass(frozen=True, kw_only=True)
class Component:
    """`licence` is an SPDX expression, or what a bill of materials leaves open; `purl` a package URL."""

    name: str
    version: str | None = None
    licence: str
    purl: str | None = None

    @property
    def key(self) -> str:
        return key_of(self.name)


@dataclass(frozen=True, kw_only=True)
class SoftwareDeclaration:
    """`sha256` is of what was sent: the file, or the canonical JSON of what was entered by hand.

    The newest of a server, by `declaration_index` from 1, counts alone.
    """

    id: UUID
    server_id: UUID
    customer_id: UUID
    declaration_index: int
    agreement_version: str
    source: Source
    spec_version: str | None
    sha256: str
    component_count: int
    channel: str
    declared_by: str
    declared_at: datetime


@judgements.on("software.declare")
def declaring(facts: Facts, parameters: Facts) -> Verdict:
    """Whoever declares software in writing answers for its copyright (4.1); an oral word declares nothing (3.1)."""
    if facts["channel"] not in parameters["written_channels"]:
        return Verdict("refused", "3.1")
    return Verdict("customer-responsible", "4.1")


@judgements.on("work-request.hold")
def holding(facts: Facts, _parameters: Facts) -> Verdict:
    """Work that touches undeclared software is held, and goes on by itself once all of it is declared (4.1)."""
    return Verdict("held" if facts["software_undeclared"] else "goes-on", "4.1")


def key_of(name: str) -> str:
    """By which software is found again, however its name is written."""
    return unicodedata.normalize("NFKC", name).casefold().strip()


def undeclared(named: Iterable[str], declared: Collection[str]) -> list[str]:
    """Those names whose key is not among the `declared` keys, in their order."""
    return [name for name in named if key_of(name) not in declared]
