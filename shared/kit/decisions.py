"""Decision rows: who decides cites the clause of the agreement version that this customer accepted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cache
from typing import Annotated, Any, TypeAlias
from uuid import UUID

import sqlalchemy as sa
from fastapi import Query
from pydantic import Field
from sqlalchemy.engine import Row

from shared.kernel.errors import NotFound
from shared.kernel.ids import new_id
from shared.kernel.judgement import Facts, Judgement, Outcome, Verdict
from shared.kit.auth import STAFF, Role
from shared.kit.db import Reader, Transaction
from shared.kit.fields import View
from shared.kit.paging import Page, Paging
from shared.kit.routing import CallerIn, HouseRouter, Read, RuntimeIn
from shared.kit.tables import decisions

CLAUSE_READ_AT = "/contracts/v1/agreements/{version}/clauses/{clause}"
"""Where the agreement is read; no other service has its text."""


class JudgedOtherwise(Exception):
    """What happened is not what the rule makes of its facts: one of the two has a fault, and nothing is kept."""


class NoSuchDecision(NotFound):
    """There is no such decision, or it is not yours."""


async def judge(
    tx: Transaction,
    judgement: Judgement,
    *,
    subject_id: UUID,
    customer_id: UUID,
    agreement_version: str,
    parameters: Facts,
    facts: dict[str, Any],
    happened: str | None = None,
) -> Verdict:
    """Judge by the rule and keep the decision with its facts (JSON-ready) and the parameters that the rule looked at.

    `parameters`: of that agreement version, by name. `happened`: the verdict's word where something happened already.
    Raises what the rule raises, and JudgedOtherwise.
    """
    judged = judgement.judge(facts, parameters)
    if happened is not None and judged.verdict.word != happened:
        raise JudgedOtherwise(f"{judgement.kind}: {happened} happened, the rule says {judged.verdict.word}")
    await tx.insert(
        decisions,
        {
            "id": new_id(),
            "kind": judgement.kind,
            "subject_id": subject_id,
            "customer_id": customer_id,
            "verdict": judged.verdict.word,
            "clause": judged.verdict.clause,
            "agreement_version": agreement_version,
            "facts": facts,
            "decided_by": tx.actor,
            "decided_at": tx.now,
            "parameters": judged.parameters,
        },
    )
    return judged.verdict


@dataclass(frozen=True)
class ClauseText:
    """A clause of the agreement as a customer accepted it."""

    language: str
    title: str
    text: str


class DecisionView(View):
    """`parameters`: those of the agreement version that the rule looked at; decisions of old have none."""

    id: UUID
    kind: str
    subject_id: UUID
    customer_id: UUID
    verdict: str
    clause: str
    agreement_version: str
    facts: dict[str, Any]
    parameters: dict[str, Any] | None
    decided_by: str
    decided_at: datetime


Cite: TypeAlias = Callable[[Reader, DecisionView], Awaitable[ClauseText | None]]
"""The text of a decision's clause for the customer that it concerns."""


class ClauseView(View):
    """`title` and `text` as the customer accepted them, where this service knows; `read_at` says where to read them."""

    number: str
    agreement_version: str
    read_at: str = Field(description="path below the installation's address; takes `?language=`")
    language: str | None = None
    title: str | None = None
    text: str | None = None


class ExplainedDecisionView(DecisionView):
    clause_accepted: ClauseView


class VerdictView(View):
    word: str
    clause: str


class ReplayView(View):
    """`kept`: the verdict of then; `again`: what the rule makes of the same facts and agreement version now."""

    decision_id: UUID
    kind: str
    agreement_version: str
    outcome: Outcome = Field(description="`unjudged`: the decision is older than the rules")
    kept: VerdictView
    again: VerdictView | None
    trouble: str | None


@cache
def router(*, cite: Cite | None = None) -> HouseRouter:
    """Reading decisions, the same in every service that decides; `cite` where the service has the agreement's text."""
    routes = HouseRouter("/v1/decisions", tag="decisions")
    readers = STAFF | {Role.CUSTOMER}

    @routes.get("", callers=readers)
    async def list_decisions(
        reader: Read, caller: CallerIn, paging: Paging, subject_id: Annotated[UUID | None, Query()] = None
    ) -> Page[DecisionView]:
        """Decisions in the order they were made, of one subject or of all the caller may see."""
        rows = await _select(
            reader, caller.only_customer, subject_id=subject_id, after=paging.after, limit=paging.limit
        )
        return paging.page(rows, DecisionView.model_validate, lambda row: row.id)

    @routes.get("/{decision_id}", callers=readers, refusals=[NoSuchDecision])
    async def explain_decision(decision_id: UUID, reader: Read, caller: CallerIn) -> ExplainedDecisionView:
        """One decision: verdict, the clause and its text, agreement version, facts, and the parameters used."""
        decision = DecisionView.model_validate(await _find(reader, caller.only_customer, decision_id))
        accepted = await cite(reader, decision) if cite else None
        clause = ClauseView(
            number=decision.clause,
            agreement_version=decision.agreement_version,
            read_at=CLAUSE_READ_AT.format(version=decision.agreement_version, clause=decision.clause),
            **(asdict(accepted) if accepted else {}),
        )
        return ExplainedDecisionView(**decision.model_dump(), clause_accepted=clause)

    @routes.get("/{decision_id}/replay", callers=readers, refusals=[NoSuchDecision])
    async def replay_decision(decision_id: UUID, reader: Read, caller: CallerIn, runtime: RuntimeIn) -> ReplayView:
        """Judge the facts again by the agreement version of then; nothing changes by it."""
        decision = runtime.rules.replay(await _find(reader, caller.only_customer, decision_id))
        again = decision.replayed.again
        return ReplayView(
            decision_id=decision.id,
            kind=decision.kind,
            agreement_version=decision.agreement_version,
            outcome=decision.replayed.outcome,
            kept=VerdictView(**asdict(decision.verdict)),
            again=VerdictView(**asdict(again)) if again else None,
            trouble=decision.replayed.trouble,
        )

    return routes


async def _find(reader: Reader, only_customer: UUID | None, decision_id: UUID) -> Row[Any]:
    rows = await _select(reader, only_customer, decision_id=decision_id, limit=1)
    if not rows:
        raise NoSuchDecision()
    found: Row[Any] = rows[0]
    return found


async def _select(
    reader: Reader,
    only_customer: UUID | None,
    *,
    decision_id: UUID | None = None,
    subject_id: UUID | None = None,
    after: UUID | None = None,
    limit: int,
) -> Any:
    query = sa.select(decisions).order_by(decisions.c.id).limit(limit + 1)
    if only_customer is not None:
        query = query.where(decisions.c.customer_id == only_customer)
    if decision_id is not None:
        query = query.where(decisions.c.id == decision_id)
    if subject_id is not None:
        query = query.where(decisions.c.subject_id == subject_id)
    if after is not None:
        query = query.where(decisions.c.id > after)
    return await reader.rows(query)
