"""Partners, and the links by which a customer lets a partner read the redacted facts about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from shared.kernel.channels import check_written
from shared.kernel.errors import Conflict, NotFound
from shared.kernel.lifecycle import Lifecycle

WRITTEN_CHANNELS = ("portal", "api", "email")


class NoSuchPartner(NotFound):
    """There is no such partner."""


class NoSuchLink(NotFound):
    """There is no such link, or it is not yours."""


class NotYourself(NotFound):
    """There is no such customer, or it is not you."""


class AlreadyLinked(Conflict):
    """This partner is linked to this customer already."""


class LinkStatus(StrEnum):
    LINKED = "linked"
    ENDED = "ended"


LINKED, ENDED = LinkStatus

LINK_LIFECYCLE = Lifecycle("partner link", [("end", {LINKED}, ENDED)])


@dataclass(frozen=True, kw_only=True)
class Partner:
    """`topic_ready_at`: when its topic was found to exist on the broker."""

    id: UUID
    name: str
    created_at: datetime
    topic_ready_at: datetime | None = None


@dataclass(eq=False, kw_only=True)
class PartnerLink:
    id: UUID
    partner_id: UUID
    customer_id: UUID
    linked_at: datetime
    channel: str
    status: LinkStatus = LINKED
    ended_at: datetime | None = None
    version: int = 0

    def end(self, *, channel: str, now: datetime) -> None:
        """Raises OralRequest, IllegalMove."""
        in_writing(channel)
        self.status, self.ended_at = LINK_LIFECYCLE.after("end", self.status), now


def in_writing(channel: str) -> str:
    """Raises OralRequest."""
    check_written(channel, WRITTEN_CHANNELS)
    return channel
