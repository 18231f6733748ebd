"""Which software a customer declared on a server."""

from __future__ import annotations

from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field

from shared.events.contracts.producer import ContractsFact, Text
from shared.events.envelope import AwareDatetime, Fact


class SoftwareDeclared(ContractsFact):
    """A customer declared the software of a server; it answers for its copyright."""

    aggregate: ClassVar[str] = "server"
    kind: ClassVar[str] = "software-declared"
    key: ClassVar[str] = "server_id"
    for_partners: ClassVar[frozenset[str] | None] = frozenset(
        {"server_id", "declaration_id", "component_count", "sha256", "declared_at"}
    )

    server_id: UUID
    declaration_id: UUID
    agreement_version: Text
    source: Text
    sha256: Annotated[str, Field(min_length=64, max_length=64)]
    """Of what was sent."""
    component_count: int
    declared_at: AwareDatetime


FACTS: list[type[Fact]] = [SoftwareDeclared]
