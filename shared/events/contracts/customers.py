"""Who the customers are, and their servers."""

from __future__ import annotations

from typing import ClassVar, Literal
from uuid import UUID

from shared.events.contracts.producer import ContractsFact, Text
from shared.events.envelope import AwareDatetime, Fact


class CustomerRegistered(ContractsFact):
    """A customer registered; contact data stays where the customer gave it."""

    aggregate: ClassVar[str] = "customer"
    kind: ClassVar[str] = "customer-registered"
    key: ClassVar[str] = "customer_id"
    for_partners: ClassVar[frozenset[str] | None] = frozenset({"registered_at"})

    language: Literal["en", "zh"]
    zone: Text
    registered_at: AwareDatetime


class ZoneChanged(ContractsFact):
    """A customer moved to another time zone; its contracts keep the zone they were drafted in."""

    aggregate: ClassVar[str] = "customer"
    kind: ClassVar[str] = "zone-changed"
    key: ClassVar[str] = "customer_id"

    zone: Text
    changed_at: AwareDatetime


class ServerRegistered(ContractsFact):
    """A customer named a server of its own."""

    aggregate: ClassVar[str] = "server"
    kind: ClassVar[str] = "server-registered"
    key: ClassVar[str] = "server_id"
    for_partners: ClassVar[frozenset[str] | None] = frozenset({"server_id", "registered_at"})

    server_id: UUID
    name: Text
    registered_at: AwareDatetime


FACTS: list[type[Fact]] = [
    CustomerRegistered,
    ZoneChanged,
    ServerRegistered,
]
