"""A request for an operation of the catalogue, and the company's answer to it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from services.contracts.domain.agreement import Risk
from services.contracts.domain.judgements import judgements
from shared.kernel.errors import Conflict, NotFound
from shared.kernel.judgement import Facts, Verdict
from shared.kernel.lifecycle import Lifecycle


class NoSuchWorkRequest(NotFound):
    """There is no such work request, or it is not yours."""


class ServerOutsideContract(Conflict):
    """Work is done on the servers of the contract only."""

    clause: ClassVar[str | None] = "3.1"


class NothingToRefuse(Conflict):
    """Only work whose risk reaches the agreement's threshold may be refused."""

    clause: ClassVar[str | None] = "1.1"


class WorkStatus(StrEnum):
    REQUESTED = "requested"
    COMPLETED = "completed"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"


WORK_LIFECYCLE = Lifecycle[WorkStatus](
    "work request",
    [
        ("complete", {WorkStatus.REQUESTED}, WorkStatus.COMPLETED),
        ("refuse", {WorkStatus.REQUESTED}, WorkStatus.REFUSED),
        ("withdraw", {WorkStatus.REQUESTED}, WorkStatus.WITHDRAWN),
    ],
)


@dataclass(eq=False, kw_only=True)
class WorkRequest:
    """`risk` and `agreement_version` are those of the moment it was asked for; `note` is the customer's own text."""

    id: UUID
    contract_id: UUID
    customer_id: UUID
    server_id: UUID
    operation_code: str
    risk: Risk
    agreement_version: str
    note: str | None
    requested_at: datetime
    status: WorkStatus = WorkStatus.REQUESTED
    decided_at: datetime | None = None
    decided_by: str | None = None
    reason: str | None = None
    version: int = 1

    def complete(self, *, by: str, now: datetime) -> None:
        self._decide("complete", by, now)

    def refuse(self, *, threshold: Risk, reason: str, by: str, now: datetime) -> None:
        """Final; raises NothingToRefuse below the threshold of the agreement (1.1)."""
        after = WORK_LIFECYCLE.after("refuse", self.status)
        if self.risk < threshold:
            raise NothingToRefuse(
                f"The risk is {self.risk.word}; refused may be what is {threshold.word} or above.",
                agreement_version=self.agreement_version,
                risk=self.risk.word,
                refuse_at_or_above=threshold.word,
            )
        self.status, self.reason = after, reason
        self.decided_by, self.decided_at = by, now

    def withdraw(self, *, by: str, now: datetime) -> None:
        self._decide("withdraw", by, now)

    def _decide(self, verb: str, by: str, now: datetime) -> None:
        self.status = WORK_LIFECYCLE.after(verb, self.status)
        self.decided_by, self.decided_at = by, now


@judgements.on("work-request.request")
def requesting(facts: Facts, parameters: Facts) -> Verdict:
    """In writing, for a registered service, out of its plan and on its servers (3.1)."""
    in_writing = facts["channel"] in parameters["written_channels"]
    asked_for_what_is_bought = facts["in_plan"] and facts["on_a_server_of_the_contract"]
    return Verdict("accepted" if in_writing and facts["served"] and asked_for_what_is_bought else "refused", "3.1")


@judgements.on("work-request.complete")
def completing(facts: Facts, _parameters: Facts) -> Verdict:
    """What was asked for out of the catalogue is done (3.1); raises IllegalMove."""
    return Verdict(_after("complete", facts), "3.1")


@judgements.on("work-request.refuse")
def refusing(facts: Facts, parameters: Facts) -> Verdict:
    """The company may refuse what reaches the threshold (1.1); raises IllegalMove."""
    if Risk.of_word(facts["risk"]) < Risk.of_word(parameters["refuse_at_or_above"]):
        return Verdict("not-refusable", "1.1")
    return Verdict(_after("refuse", facts), "1.1")


@judgements.on("work-request.withdraw")
def withdrawing(facts: Facts, parameters: Facts) -> Verdict:
    """Taken back in writing before it was done (3.1); raises IllegalMove."""
    if facts["channel"] not in parameters["written_channels"]:
        return Verdict("refused", "3.1")
    return Verdict(_after("withdraw", facts), "3.1")


def _after(verb: str, facts: Facts) -> str:
    return WORK_LIFECYCLE.after(verb, WorkStatus(facts["found"])).value
