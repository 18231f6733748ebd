"""A disclosed secret: whose responsibility it is (5.2, 5.3), and the clock until it is replaced."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from services.contracts.domain.judgements import judgements
from shared.kernel.errors import Conflict, Invalid, NotFound
from shared.kernel.judgement import Facts, Verdict
from shared.kernel.lifecycle import Lifecycle


class NoSuchDisclosure(NotFound):
    """There is no such disclosure, or it is not yours."""


class DisclosedLater(Invalid):
    """A disclosure is reported once it has happened."""


class StillInTheVault(Conflict):
    """The vault still keeps what was disclosed: replace it there."""

    clause: ClassVar[str | None] = "5.2"


class DisclosedKind(StrEnum):
    """What got known: a secret of the server, or other information that the customer keeps safe."""

    PASSWORD = "password"  # noqa: S105
    SSH_KEY = "ssh-key"
    TOKEN = "token"  # noqa: S105
    OTHER_INFORMATION = "other-information"


class DisclosedBy(StrEnum):
    CUSTOMER = "customer"
    COMPANY = "company"
    UNKNOWN = "unknown"


class Source(StrEnum):
    """Whose word it is that something was disclosed."""

    CUSTOMER = "customer"
    STAFF = "staff"


class DisclosureStatus(StrEnum):
    REPORTED = "reported"
    OVERDUE = "overdue"
    REPLACED = "replaced"


REPORTED, OVERDUE, REPLACED = DisclosureStatus
OPEN = frozenset({REPORTED, OVERDUE})

DISCLOSURE_LIFECYCLE = Lifecycle[DisclosureStatus](
    "disclosure",
    [
        ("miss", {REPORTED}, OVERDUE),
        ("replace", OPEN, REPLACED),
    ],
)


@dataclass(eq=False, kw_only=True)
class Disclosure:
    """`secret_id` is there when the vault keeps what was disclosed; `replace_by` is the end of the agreement's time."""

    id: UUID
    contract_id: UUID
    customer_id: UUID
    server_id: UUID
    secret_id: UUID | None
    kind: DisclosedKind
    disclosed_by: DisclosedBy
    source: Source
    period_index: int
    agreement_version: str
    clause: str
    responsible: str
    disclosed_at: datetime
    channel: str
    reported_at: datetime
    reported_by: str
    replace_by: datetime
    status: DisclosureStatus = REPORTED
    overdue_at: datetime | None = None
    replaced_at: datetime | None = None
    version: int = 1

    @property
    def is_open(self) -> bool:
        return self.status in OPEN

    def miss(self, now: datetime) -> None:
        """The time is over; raises IllegalMove."""
        self.status = DISCLOSURE_LIFECYCLE.after("miss", self.status)
        self.overdue_at = now

    def replace(self, now: datetime) -> None:
        """What was disclosed opens nothing any more; raises IllegalMove."""
        self.status = DISCLOSURE_LIFECYCLE.after("replace", self.status)
        self.replaced_at = now


def check_happened(disclosed_at: datetime, now: datetime) -> None:
    """Raises DisclosedLater."""
    if disclosed_at > now:
        raise DisclosedLater(field="disclosed_at")


@judgements.on("disclosure.report")
def reporting(facts: Facts, parameters: Facts) -> Verdict:
    """Whose responsibility it is: for secrets of a server that is served by 5.2, for everything else by 5.3."""
    of_a_served_server = facts["kind"] != DisclosedKind.OTHER_INFORMATION and facts["served"]
    clause = "5.2" if of_a_served_server else "5.3"
    if facts["channel"] not in parameters["written_channels"]:
        return Verdict("refused", clause)
    return Verdict("undetermined" if facts["disclosed_by"] == DisclosedBy.UNKNOWN else facts["disclosed_by"], clause)


@judgements.on("disclosure.settle")
def settling(facts: Facts, parameters: Facts) -> Verdict:
    """Whether what was disclosed is replaced within the agreement's time (5.2); `replaced`: by the instant `at`."""
    hours = timedelta(hours=parameters["rotate_after_disclosure_hours"])
    in_time = datetime.fromisoformat(facts["at"]) < datetime.fromisoformat(facts["reported_at"]) + hours
    if facts["replaced"]:
        return Verdict("replaced-in-time" if in_time else "replaced-late", "5.2")
    return Verdict("open" if in_time else "overdue", "5.2")
