"""The protection of one server under one contract: its slots, what it has missed, its end and its data's end."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from services.backup.domain.coverage import Terms
from services.backup.domain.judgements import judgements
from shared.kernel.errors import Gone, NotFound
from shared.kernel.judgement import Facts, Verdict
from shared.kernel.lifecycle import Lifecycle

CLAUSE = "2.2"
ALERT_AFTER = timedelta(hours=1)
"""A backup this late is an alert."""
WORD_WITHIN = timedelta(minutes=30)
"""How long a slot past the paid period waits to hear whether the service goes on; then backing up is the safe side."""


class ProtectionStatus(StrEnum):
    ACTIVE = "active"
    ENDED = "ended"
    PURGED = "purged"


ACTIVE, ENDED, PURGED = ProtectionStatus.ACTIVE, ProtectionStatus.ENDED, ProtectionStatus.PURGED

PROTECTION_LIFECYCLE = Lifecycle(
    "protection",
    [
        ("end", {ACTIVE}, ENDED),
        ("resume", {ENDED}, ACTIVE),
        ("purge", {ENDED}, PURGED),
    ],
)


class Place(StrEnum):
    """Local as the agreement says anyway (2.2); remote on the customer's application only (2.3)."""

    LOCAL = "local"
    REMOTE = "remote"


LOCAL, REMOTE = Place


class NoSuchProtection(NotFound):
    """There is no such protection, or it is not yours."""


class DataNoLongerKept(Gone):
    """The retention period of this backup is over and its data is deleted."""

    clause = CLAUSE


@dataclass(frozen=True)
class Slot:
    """One due time, and how many earlier ones passed by without a run."""

    at: datetime
    passed_by: int


@dataclass(eq=False, kw_only=True)
class Protection:
    """`next_slot_at` is known while active; `uncovered_since` is the oldest slot since the last success."""

    id: UUID
    contract_id: UUID
    server_id: UUID
    customer_id: UUID
    terms: Terms
    started_at: datetime
    place: Place = LOCAL
    status: ProtectionStatus = ACTIVE
    next_slot_at: datetime | None = None
    last_slot_at: datetime | None = None
    uncovered_since: datetime | None = None
    missed_slots: int = 0
    last_success_at: datetime | None = None
    last_success_slot_at: datetime | None = None
    last_success_run_id: UUID | None = None
    ended_at: datetime | None = None
    retain_until: datetime | None = None
    data_deleted_at: datetime | None = None
    version: int = 0

    @property
    def every(self) -> timedelta:
        return timedelta(hours=self.terms.every_hours)

    @property
    def clause(self) -> str:
        return _clause(self.place)

    def parameters(self) -> dict[str, int]:
        """By the names that the agreement has for them."""
        return {
            f"{self.place}_backup_every_hours": self.terms.every_hours,
            "restore_target_hours": self.terms.restore_target_hours,
            "retention_days": self.terms.retention_days,
        }

    def take_due_slot(self, now: datetime) -> Slot | None:
        """The slot to back up for now, or None; after a jump it is the latest one, never one per missed slot."""
        if self.status != ACTIVE or self.next_slot_at is None or self.next_slot_at > now:
            return None
        latest = now
        if self._awaits_word(now):
            latest = self.terms.period_ends_at - timedelta(microseconds=1)
            if self.next_slot_at > latest:
                return None
        passed_by = (latest - self.next_slot_at) // self.every
        slot = Slot(self.next_slot_at + passed_by * self.every, passed_by)
        self.uncovered_since = self.uncovered_since or self.next_slot_at
        self.missed_slots += passed_by
        self.last_slot_at, self.next_slot_at = slot.at, slot.at + self.every
        return slot

    def look_again_at(self, now: datetime) -> datetime | None:
        """When there may be a slot to take; None while nothing is protected."""
        if self.status != ACTIVE or self.next_slot_at is None:
            return None
        ends_at = self.terms.period_ends_at
        if self.next_slot_at >= ends_at and self._awaits_word(now):
            return max(self.next_slot_at, ends_at + WORD_WITHIN)
        return self.next_slot_at

    def _awaits_word(self, now: datetime) -> bool:
        return now < self.terms.period_ends_at + WORD_WITHIN and self.terms.period_ends_at <= now

    def record_success(self, run_id: UUID, *, slot_at: datetime, now: datetime) -> None:
        """The slot is covered; an older one that succeeds late covers nothing that came after it."""
        if self.last_success_slot_at is not None and self.last_success_slot_at > slot_at:
            return
        self.last_success_at, self.last_success_slot_at, self.last_success_run_id = now, slot_at, run_id
        if self.last_slot_at is None or slot_at >= self.last_slot_at:
            self.uncovered_since = None
        else:
            self.uncovered_since = max(slot_at + self.every, self.uncovered_since or slot_at)

    @property
    def alert_at(self) -> datetime | None:
        """When the missing backup becomes an alert, unless one succeeds before."""
        since = self.uncovered_since or self.next_slot_at
        return since + ALERT_AFTER if self.status == ACTIVE and since is not None else None

    def is_overdue(self, now: datetime) -> bool:
        return self.alert_at is not None and self.alert_at <= now

    def change_terms(self, terms: Terms) -> bool:
        """Take new terms; a shorter interval brings the next slot forward. True if anything changed."""
        if terms == self.terms:
            return False
        self.terms = terms
        if self.next_slot_at is not None and self.last_slot_at is not None:
            self.next_slot_at = min(self.next_slot_at, self.last_slot_at + self.every)
        return True

    def end(self, *, ended_at: datetime, retention_days: int) -> None:
        """No new runs; the data stays for `retention_days` after `ended_at`."""
        self.status = PROTECTION_LIFECYCLE.after("end", self.status)
        self.ended_at = ended_at
        self.retain_until = ended_at + timedelta(days=retention_days)
        self.terms = replace(self.terms, retention_days=retention_days)
        self.next_slot_at = self.uncovered_since = None

    def resume(self, now: datetime) -> None:
        """The service was reinstated: back up at once."""
        self.status = PROTECTION_LIFECYCLE.after("resume", self.status)
        self.ended_at = self.retain_until = None
        self.next_slot_at = now

    def may_be_purged(self, now: datetime) -> bool:
        return self.status == ENDED and self.retain_until is not None and self.retain_until <= now

    def purge(self) -> None:
        """The retention period is over: nothing can be restored any more."""
        self.status = PROTECTION_LIFECYCLE.after("purge", self.status)

    def record_deletion(self, now: datetime) -> bool:
        """The data is gone; False when that was recorded before."""
        if self.status != PURGED or self.data_deleted_at is not None:
            return False
        self.data_deleted_at = now
        return True

    def require_data(self) -> None:
        """Raises DataNoLongerKept once the retention period is over."""
        if self.status == PURGED:
            raise DataNoLongerKept(agreement_version=self.terms.agreement_version)


def start_protection(
    protection_id: UUID,
    *,
    contract_id: UUID,
    server_id: UUID,
    customer_id: UUID,
    terms: Terms,
    place: Place = LOCAL,
    now: datetime,
) -> Protection:
    """A protection whose first slot is now."""
    return Protection(
        id=protection_id,
        place=place,
        contract_id=contract_id,
        server_id=server_id,
        customer_id=customer_id,
        terms=terms,
        started_at=now,
        next_slot_at=now,
    )


def _clause(place: str) -> str:
    return "2.3" if place == REMOTE else CLAUSE


def _clause_of(facts: Facts) -> str:
    return _clause(facts.get("place", LOCAL))


def _often_enough(facts: Facts, parameters: Facts) -> bool:
    return bool(facts["every_hours"] <= parameters[f"{facts.get('place', LOCAL)}_backup_every_hours"])


@judgements.on("protection.start")
def starting(facts: Facts, parameters: Facts) -> Verdict:
    """A registered service is backed up at least as often as the agreement says (2.2).

    To a remote place too where that was applied for and approved (2.3).
    """
    applied_for = facts.get("place", LOCAL) == LOCAL or facts["application_approved"]
    started = facts["served"] and applied_for and _often_enough(facts, parameters)
    return Verdict("started" if started else "not-started", _clause_of(facts))


@judgements.on("protection.resume")
def resuming(facts: Facts, parameters: Facts) -> Verdict:
    """A service that was reinstated is backed up again, into the data that is still kept (2.2, 2.3)."""
    resumed = facts["served"] and facts["data_kept"] and _often_enough(facts, parameters)
    return Verdict("resumed" if resumed else "not-resumed", _clause_of(facts))


@judgements.on("protection.end")
def ending(facts: Facts, parameters: Facts) -> Verdict:
    """The service or the application ended: no new backups, and the data stays for the agreement's days (2.2)."""
    kept = datetime.fromisoformat(facts["retain_until"]) - datetime.fromisoformat(facts["ended_at"])
    long_enough = kept >= timedelta(days=parameters["retention_days"])
    return Verdict("ended" if long_enough else "kept-too-short", _clause_of(facts))


@judgements.on("protection.purge")
def purging(facts: Facts, parameters: Facts) -> Verdict:
    """Data is deleted once the agreement's days after the end of the service are over (2.2)."""
    kept = datetime.fromisoformat(facts["purged_at"]) - datetime.fromisoformat(facts["ended_at"])
    over = kept >= timedelta(days=parameters["retention_days"])
    return Verdict("retention-over" if over else "kept", _clause_of(facts))
