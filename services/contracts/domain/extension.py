"""An extension for special circumstances: explained before the end, granted or refused by somebody else (3.5)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from services.contracts.domain.judgements import judgements
from shared.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from shared.kernel.judgement import Facts, Verdict
from shared.kernel.lifecycle import Lifecycle
from shared.kernel.period import Period, end_of_day, zone_named


class NoSuchExtension(NotFound):
    """There is no such explanation of special circumstances, or it is not yours."""


class OwnExplanation(Forbidden):
    """Nobody answers an explanation that they recorded themselves."""

    clause: ClassVar[str | None] = "3.5"


class AlreadyAnswered(Conflict):
    """This explanation has been answered."""

    clause: ClassVar[str | None] = "3.5"


class ExtensionOutOfRange(Invalid):
    """An extension ends after the period, and no later than the agreement lets it."""

    clause: ClassVar[str | None] = "3.5"


class ExtensionStatus(StrEnum):
    REQUESTED = "requested"
    APPROVED = "approved"
    REFUSED = "refused"


EXTENSION_LIFECYCLE = Lifecycle[ExtensionStatus](
    "extension",
    [
        ("approve", {ExtensionStatus.REQUESTED}, ExtensionStatus.APPROVED),
        ("refuse", {ExtensionStatus.REQUESTED}, ExtensionStatus.REFUSED),
    ],
)


@dataclass(eq=False, kw_only=True)
class Extension:
    """`reason` and `refusal_reason` are texts of people about people: they stay here.

    `wished_until_on` is what the customer would like, `until_on` what was granted: the last day that is served, whole.
    """

    id: UUID
    contract_id: UUID
    customer_id: UUID
    period_index: int
    agreement_version: str
    period_ends_at: datetime
    zone: str
    reason: str
    wished_until_on: date | None
    channel: str
    requested_by: str
    requested_at: datetime
    status: ExtensionStatus = ExtensionStatus.REQUESTED
    decided_by: str | None = None
    decided_at: datetime | None = None
    until_on: date | None = None
    extended_until: datetime | None = None
    refusal_reason: str | None = None
    version: int = 1

    def approve(self, span: Span, until_on: date, *, by: str, now: datetime) -> datetime:
        """The instant at which the extension ends; raises OwnExplanation, AlreadyAnswered, ExtensionOutOfRange."""
        self.check_answerable(by)
        self.extended_until = span.end_of(until_on, now, agreement_version=self.agreement_version)
        self.until_on = until_on
        self._answer("approve", by, now)
        return self.extended_until

    def refuse(self, reason: str, *, by: str, now: datetime) -> None:
        """Raises OwnExplanation, AlreadyAnswered."""
        self.check_answerable(by)
        self.refusal_reason = reason
        self._answer("refuse", by, now)

    def check_answerable(self, by: str) -> None:
        """Raises AlreadyAnswered, OwnExplanation."""
        if self.decided_at is not None:
            raise AlreadyAnswered(
                f"It was {self.status} at {self.decided_at.isoformat()}.",
                agreement_version=self.agreement_version,
                decision=str(self.status),
                decided_at=self.decided_at.isoformat(),
            )
        if by == self.requested_by:
            raise OwnExplanation(agreement_version=self.agreement_version)

    def _answer(self, verb: str, by: str, now: datetime) -> None:
        self.status = EXTENSION_LIFECYCLE.after(verb, self.status)
        self.decided_by, self.decided_at = by, now


@dataclass(frozen=True)
class Span:
    """The days on which an extension of `period` may end.

    At most `longest_days` calendar days after the period's end, and before `paid_until`, the end of the period that
    pays for the extension: whoever pays on its last day still buys time.
    """

    period: Period
    longest_days: int
    paid_until: datetime

    @property
    def last_day(self) -> date:
        zone = zone_named(self.period.zone)
        by_agreement = last_day_of(self.period.ends_at, self.longest_days, self.period.zone)
        before_next_end = (self.paid_until - timedelta.resolution).astimezone(zone).date() - timedelta(days=1)
        return min(by_agreement, before_next_end)

    @property
    def first_day(self) -> date:
        return self.period.ends_at.astimezone(zone_named(self.period.zone)).date()

    def end_of(self, until_on: date, now: datetime, *, agreement_version: str) -> datetime:
        """The instant at which that day is over in the zone; raises ExtensionOutOfRange."""
        in_range = self.first_day <= until_on <= self.last_day
        # Compared as days first: no calendar has a day after its last year.
        if in_range and end_of_day(until_on, self.period.zone) > max(now, self.period.ends_at):
            return end_of_day(until_on, self.period.zone)
        raise ExtensionOutOfRange(
            f"From {self.first_day} to {self.last_day}, and not in the past.",
            field="until_on",
            agreement_version=agreement_version,
            first_day=self.first_day.isoformat(),
            last_day=self.last_day.isoformat(),
            longest_extension_days=self.longest_days,
        )


def last_day_of(ends_at: datetime, longest_days: int, zone: str) -> date:
    """That many calendar days after the day on which the period ends in the zone."""
    return ends_at.astimezone(zone_named(zone)).date() + timedelta(days=longest_days)


@judgements.on("extension.request")
def recording(facts: Facts, parameters: Facts) -> Verdict:
    """In writing, and before the end of the period (3.5)."""
    if facts["channel"] not in parameters["written_channels"]:
        return Verdict("refused", "3.1")
    return Verdict("recorded" if _is_in_time(facts) else "refused", "3.5")


@judgements.on("extension.approve")
def approving(facts: Facts, parameters: Facts) -> Verdict:
    """What was explained in time is granted through a day that the agreement allows (3.5); raises OwnExplanation."""
    _insist_on_another(facts)
    ends_at, until = (datetime.fromisoformat(facts[name]) for name in ("ends_at", "extended_until"))
    until_on, zone = date.fromisoformat(facts["until_on"]), facts["zone"]
    last_day = last_day_of(ends_at, parameters["longest_extension_days"], zone)
    fits = ends_at < until == end_of_day(until_on, zone) and until_on <= last_day
    return Verdict("approved" if _is_in_time(facts) and fits else "refused", "3.5")


@judgements.on("extension.refuse")
def refusing(facts: Facts, _parameters: Facts) -> Verdict:
    """Whether circumstances are special is the company's to say (3.5); raises OwnExplanation."""
    _insist_on_another(facts)
    return Verdict("refused", "3.5")


@judgements.on("service.extend")
def extending(facts: Facts, _parameters: Facts) -> Verdict:
    """An extension that was granted carries the service on until its end, and no longer (3.5)."""
    explained_at, ends_at, until, now = (
        datetime.fromisoformat(facts[name]) for name in ("explained_at", "ends_at", "extended_until", "now")
    )
    return Verdict("extended" if explained_at < ends_at <= now and ends_at < until else "expired", "3.5")


def _insist_on_another(facts: Facts) -> None:
    if facts["own_explanation"]:
        raise OwnExplanation()


def _is_in_time(facts: Facts) -> bool:
    return datetime.fromisoformat(facts["explained_at"]) < datetime.fromisoformat(facts["ends_at"])
