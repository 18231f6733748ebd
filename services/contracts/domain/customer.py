"""A customer of the company, by the id its identity provider gave it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from services.contracts.domain.agreement import Language
from shared.kernel.errors import Conflict, NotFound
from shared.kernel.period import zone_named


class NoSuchCustomer(NotFound):
    """There is no such customer, or it is not you."""


class CustomerExists(Conflict):
    """This customer is registered already."""


@dataclass(frozen=True, kw_only=True)
class Customer:
    """`zone` is the IANA time zone by whose calendar its periods run."""

    id: UUID
    name: str
    language: Language
    zone: str
    registered_at: datetime

    def __post_init__(self) -> None:
        zone_named(self.zone)

    def change_zone(self, zone: str) -> Customer:
        """For contracts drafted from now on: a contract keeps the zone it was drafted in; raises UnknownZone."""
        return replace(self, zone=zone)
