"""What the notify service tells: notices and their proof, partners and their links."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import Field

from shared.events.envelope import AwareDatetime, Fact

Text = Annotated[str, Field(max_length=200)]


class NoticeFact(Fact):
    producer: ClassVar[str] = "notify"
    aggregate: ClassVar[str] = "notice"
    key: ClassVar[str] = "notice_id"
    minor: ClassVar[int] = 1

    notice_id: UUID
    subject_id: UUID
    """What the notice is about: the contract, invoice or payment."""
    contract_id: UUID | None = None
    """The contract that all of it belongs to; not told before minor 1."""
    notice_kind: Text
    caused_by: UUID
    """The id of the event that asked for the notice."""


class NoticeDelivered(NoticeFact):
    """The customer's mail server took the notice; `smtp_code` and `reply_sha256` prove its answer."""

    kind: ClassVar[str] = "notice-delivered"
    for_partners: ClassVar[frozenset[str] | None] = frozenset(
        {"notice_id", "subject_id", "notice_kind", "delivered_at"}
    )

    language: Literal["en", "zh"]
    smtp_code: int
    reply_sha256: Text
    delivered_at: AwareDatetime


class NoticeUndeliverable(NoticeFact):
    """The notice could not be delivered and will not be tried again by itself."""

    kind: ClassVar[str] = "notice-undeliverable"
    for_partners: ClassVar[frozenset[str] | None] = frozenset({"notice_id", "subject_id", "notice_kind", "failed_at"})

    reason: Literal["refused", "expired"]
    failed_at: AwareDatetime


class PartnerLinkFact(Fact):
    producer: ClassVar[str] = "notify"
    aggregate: ClassVar[str] = "partner_link"
    key: ClassVar[str] = "link_id"
    for_partners: ClassVar[frozenset[str] | None] = frozenset({"link_id", "partner_id", "changed_at"})

    link_id: UUID
    partner_id: UUID
    changed_at: AwareDatetime


class PartnerLinked(PartnerLinkFact):
    """The customer lets a partner read the redacted facts about it from now on."""

    kind: ClassVar[str] = "partner-linked"


class PartnerUnlinked(PartnerLinkFact):
    """The customer ended a partner's link."""

    kind: ClassVar[str] = "partner-unlinked"


FACTS: list[type[Fact]] = [NoticeDelivered, NoticeUndeliverable, PartnerLinked, PartnerUnlinked]
