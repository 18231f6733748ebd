"""The decision table: who may renew, stop, explain, withdraw or ask for a refund, when, and by which clause."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from services.contracts.domain.period import Choice
from shared.kernel.errors import Conflict, Refusal


class NotRegistered(Conflict):
    """Nothing is done for a service that is not registered."""

    clause: ClassVar[str | None] = "3.1"


class AfterTheEnd(Conflict):
    """After the end a contract is neither renewed nor stopped; the way is a new purchase."""

    clause: ClassVar[str | None] = "3.3"


class AlreadyDecided(Conflict):
    """What comes after this period has been decided."""

    clause: ClassVar[str | None] = "3.3"


class ExplainedTooLate(Conflict):
    """Special circumstances are explained before the period ends."""

    clause: ClassVar[str | None] = "3.5"


class AlreadyExplained(Conflict):
    """The circumstances of this period have been explained; they are answered once."""

    clause: ClassVar[str | None] = "3.5"


class NothingToExtend(Conflict):
    """The next period is paid: the service goes on without an extension."""

    clause: ClassVar[str | None] = "3.5"


class NothingToWithdraw(Conflict):
    """Only a contract whose service is not registered yet is withdrawn."""

    clause: ClassVar[str | None] = "3.2"


class AlreadyRefunded(Conflict):
    """The payment of this period has been asked back before."""

    clause: ClassVar[str | None] = "6.2"


class RefundWindowClosed(Conflict):
    """The days in which a refund may be asked for are over."""

    clause: ClassVar[str | None] = "6.2"


class Matter(StrEnum):
    """What is to be decided."""

    RENEW = "renew"
    STOP = "stop"
    EXTEND = "extend"
    WITHDRAW = "withdraw"
    REFUND = "refund"


class Moment(StrEnum):
    """Where in its life a contract is, by its status and the time."""

    DRAFT = "draft"
    AWAITING_PAYMENT = "awaiting_payment"
    WITHDRAWN = "withdrawn"
    BEFORE_WINDOW = "before_window"
    IN_WINDOW = "in_window"
    EXTENDED = "extended"
    """The period is over, and an extension keeps service and window."""
    HELD = "held"
    ENDED = "ended"


@dataclass(frozen=True, kw_only=True)
class Facts:
    """All that the table looks at; `closes_at` is the end of the extension where there is one."""

    moment: Moment
    agreement_version: str
    ends_at: datetime | None = None
    closes_at: datetime | None = None
    choice: Choice | None = None
    chosen_at: datetime | None = None
    next_is_paid: bool = False
    explained_at: datetime | None = None
    extended_until: datetime | None = None
    refunded_at: datetime | None = None
    refund_closed_at: datetime | None = None


@dataclass(frozen=True)
class Ruling:
    """Whether the customer may decide this now; `standing`: it takes effect when the window opens."""

    matter: Matter
    clause: str
    standing: bool
    refusal: Refusal | None

    @property
    def allowed(self) -> bool:
        return self.refusal is None

    def enforce(self) -> None:
        if self.refusal is not None:
            raise self.refusal


def rule(matter: Matter, facts: Facts) -> Ruling:
    """The first row that fits refuses; where none does, it is allowed by the clause of the matter."""
    standing = matter in _COMING and facts.moment is Moment.BEFORE_WINDOW
    for row in TABLE:
        if row.fits(matter, facts):
            refusal = _refusal(row.refusal, facts)
            return Ruling(matter, refusal.cited_clause or CLAUSES[matter], standing, refusal)
    return Ruling(matter, CLAUSES[matter], standing, refusal=None)


@dataclass(frozen=True)
class Row:
    """Refuses these matters at these moments when the fact holds."""

    matters: Collection[Matter]
    moments: Collection[Moment]
    fact: Callable[[Facts], bool]
    refusal: type[Refusal]

    def fits(self, matter: Matter, facts: Facts) -> bool:
        return matter in self.matters and facts.moment in self.moments and self.fact(facts)


def _always(_facts: Facts) -> bool:
    return True


def _decided(facts: Facts) -> bool:
    return facts.choice is not None


def _decided_to_renew(facts: Facts) -> bool:
    return facts.choice is Choice.RENEW


def _decided_to_stop(facts: Facts) -> bool:
    return facts.choice is Choice.STOP


def _next_is_paid(facts: Facts) -> bool:
    return facts.next_is_paid


def _explained(facts: Facts) -> bool:
    return facts.explained_at is not None


def _refunded(facts: Facts) -> bool:
    return facts.refunded_at is not None


def _refund_closed(facts: Facts) -> bool:
    return facts.refund_closed_at is not None


_COMING = frozenset({Matter.RENEW, Matter.STOP})
"""What comes after the present period."""
_RENEW, _STOP, _EXTEND = frozenset({Matter.RENEW}), frozenset({Matter.STOP}), frozenset({Matter.EXTEND})
_WITHDRAW, _REFUND = frozenset({Matter.WITHDRAW}), frozenset({Matter.REFUND})
_BEFORE = frozenset({Moment.BEFORE_WINDOW})
_OPEN = frozenset({Moment.IN_WINDOW, Moment.EXTENDED})
_OVER = frozenset({Moment.HELD, Moment.ENDED})
_UNREGISTERED = frozenset({Moment.DRAFT, Moment.AWAITING_PAYMENT, Moment.WITHDRAWN})
_REGISTERED = frozenset(Moment) - _UNREGISTERED

CLAUSES: dict[Matter, str] = {
    Matter.RENEW: "3.3",
    Matter.STOP: "3.3",
    Matter.EXTEND: "3.5",
    Matter.WITHDRAW: "3.2",
    Matter.REFUND: "6.2",
}
TABLE = (
    Row(frozenset(Matter) - _WITHDRAW, _UNREGISTERED, _always, NotRegistered),
    Row(_COMING, _OVER, _always, AfterTheEnd),
    # In the window the first decision wins; before it a standing one gives way to its opposite.
    Row(_COMING, _OPEN, _decided, AlreadyDecided),
    Row(_RENEW, _BEFORE, _decided_to_renew, AlreadyDecided),
    Row(_STOP, _BEFORE, _decided_to_stop, AlreadyDecided),
    Row(_EXTEND, _OVER | {Moment.EXTENDED}, _always, ExplainedTooLate),
    Row(_EXTEND, _REGISTERED, _next_is_paid, NothingToExtend),
    Row(_EXTEND, _REGISTERED, _decided_to_stop, AlreadyDecided),
    Row(_EXTEND, _REGISTERED, _explained, AlreadyExplained),
    Row(_WITHDRAW, _REGISTERED | {Moment.WITHDRAWN}, _always, NothingToWithdraw),
    Row(_REFUND, _REGISTERED, _refunded, AlreadyRefunded),
    Row(_REFUND, _REGISTERED, _refund_closed, RefundWindowClosed),
)


def _refusal(kind: type[Refusal], facts: Facts) -> Refusal:
    detail, shown = _WORDS.get(kind, _state)(facts)
    return kind(detail, agreement_version=facts.agreement_version, **shown)


def _state(facts: Facts) -> tuple[str, dict[str, Any]]:
    return f"The contract is {facts.moment}.", {"state": str(facts.moment)}


def _end(facts: Facts) -> tuple[str, dict[str, Any]]:
    ended_at = _text(facts.closes_at)
    return f"The period ended at {ended_at}.", {"ended_at": ended_at}


def _end_of_period(facts: Facts) -> tuple[str, dict[str, Any]]:
    ended_at = _text(facts.ends_at)
    return f"The period ended at {ended_at}.", {"ended_at": ended_at}


def _decision(facts: Facts) -> tuple[str, dict[str, Any]]:
    decided_at = _text(facts.chosen_at)
    said = f"The decision to {facts.choice} was made at {decided_at}."
    return said, {"decision": str(facts.choice), "decided_at": decided_at}


def _explanation(facts: Facts) -> tuple[str, dict[str, Any]]:
    explained_at, until = _text(facts.explained_at), facts.extended_until
    shown = {"explained_at": explained_at, "extended_until": until and until.isoformat()}
    return f"The explanation was made at {explained_at}.", shown


def _refund(facts: Facts) -> tuple[str, dict[str, Any]]:
    refunded_at = _text(facts.refunded_at)
    return f"The refund was asked for at {refunded_at}.", {"refunded_at": refunded_at}


def _closed_refund(facts: Facts) -> tuple[str, dict[str, Any]]:
    closed_at = _text(facts.refund_closed_at)
    return f"A refund of this period could be asked for until {closed_at}.", {"closed_at": closed_at}


_WORDS: dict[type[Refusal], Callable[[Facts], tuple[str, dict[str, Any]]]] = {
    AfterTheEnd: _end,
    AlreadyDecided: _decision,
    ExplainedTooLate: _end_of_period,
    AlreadyExplained: _explanation,
    AlreadyRefunded: _refund,
    RefundWindowClosed: _closed_refund,
}


def _text(instant: datetime | None) -> str:
    assert instant is not None
    return instant.isoformat()
