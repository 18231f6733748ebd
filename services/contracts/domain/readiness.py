"""Whether a server meets the conditions for maintenance (2.4): a checklist whose results do not count for ever."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from services.contracts.domain.condition_declaration import Condition
from shared.kernel.errors import Conflict, Invalid
from shared.kernel.judgement import Facts

RECORDED = frozenset({Condition.REACHABLE, Condition.CREDENTIALS_VALID, Condition.FREE_DISK})
"""What somebody looks at and records; the others follow from what is on record here."""


class NotReady(Conflict):
    """The server does not meet the conditions for maintenance, and the customer was not told so."""

    clause: ClassVar[str | None] = "2.4"


class NotRecorded(Invalid):
    """This condition is not recorded: it follows from what is on record."""

    clause: ClassVar[str | None] = "2.4"


class CheckedLater(Invalid):
    """A check cannot have been made in the future."""


class State(StrEnum):
    OK = "ok"
    FAILED = "failed"
    STALE = "stale"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class ReadinessCheck:
    """`checked_by` is whom or what the result comes from, `recorded_by` who entered it."""

    id: UUID
    server_id: UUID
    customer_id: UUID
    condition: Condition
    passed: bool
    checked_by: str
    checked_at: datetime
    recorded_by: str
    recorded_at: datetime


@dataclass(frozen=True, kw_only=True)
class Item:
    """One line of the checklist; `checked_at` and `checked_by` are None where nobody has looked."""

    condition: Condition
    state: State
    checked_at: datetime | None = None
    checked_by: str | None = None


@dataclass(frozen=True, kw_only=True)
class OnRecord:
    """What is known of a server: the newest check of each condition, and what the others follow from."""

    checks: Mapping[Condition, ReadinessCheck]
    system_supported: bool
    backup_completed_at: datetime | None
    software_declared_at: datetime | None
    software_declared_by: str | None


def checklist(known: OnRecord, *, valid_hours: int, now: datetime) -> list[Item]:
    """Every condition with its state at `now`; results of `valid_hours` ago and before do not count."""

    def aged(state: State, at: datetime) -> State:
        return state if now - at < timedelta(hours=valid_hours) else State.STALE

    def item(condition: Condition) -> Item:
        check = known.checks.get(condition)
        if condition is Condition.SUPPORTED_SYSTEM:
            state = State.OK if known.system_supported else State.FAILED
            return Item(condition=condition, state=state, checked_at=now, checked_by="catalogue")
        if condition is Condition.BACKUP_PRESENT:
            if known.backup_completed_at is None:
                return Item(condition=condition, state=State.UNKNOWN)
            at = known.backup_completed_at
            return Item(condition=condition, state=aged(State.OK, at), checked_at=at, checked_by="backup")
        if condition is Condition.DECLARED_SOFTWARE:
            # The customer's word stands until it says another.
            said_at, said_by = known.software_declared_at, known.software_declared_by
            state = State.UNKNOWN if said_at is None else State.OK
            return Item(condition=condition, state=state, checked_at=said_at, checked_by=said_by)
        if check is None:
            return Item(condition=condition, state=State.UNKNOWN)
        state = aged(State.OK if check.passed else State.FAILED, check.checked_at)
        return Item(condition=condition, state=state, checked_at=check.checked_at, checked_by=check.checked_by)

    return [item(condition) for condition in Condition]


def is_ready(items: Iterable[Item]) -> bool:
    return all(item.state is State.OK for item in items)


def readiness_facts(items: Iterable[Item], declared_unmet: Iterable[Condition]) -> dict[str, object]:
    """For a rule: the state of each condition, and which of them the customer was told to be unmet."""
    return {
        "conditions": {item.condition.value: item.state.value for item in items},
        "declared_unmet": sorted(condition.value for condition in declared_unmet),
    }


def insist_on_readiness(facts: Facts) -> None:
    """Each condition is met, or the customer was told that it is not (2.4); raises NotReady."""
    told = set(facts["declared_unmet"])
    lacking = {name: state for name, state in facts["conditions"].items() if state != State.OK and name not in told}
    if lacking:
        raise NotReady(
            "Check them, or tell the customer that they are unmet.",
            agreement_version=facts["agreement_version"],
            items=lacking,
        )
