"""Decision rows: who decides cites the clause of the agreement version that this customer accepted."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import sqlalchemy as sa
from fastapi import Query

from shared.kernel.errors import NotFound
from shared.kernel.ids import new_id
from shared.kernel.judgement import Facts, Judgement, Verdict
from shared.kit.auth import STAFF, Role
from shared.kit.db import Reader, Transaction
from shared.kit.fields import View
from shared.kit.paging import Page, Paging
from shared.kit.routing import CallerIn, HouseRouter, Read
from shared.kit.tables import decisions


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


def router() -> HouseRouter:
    """Reading decisions, the same in every service that decides."""
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
    async def read_decision(decision_id: UUID, reader: Read, caller: CallerIn) -> DecisionView:
        """One decision: verdict, clause, agreement version and the facts it was made from."""
        rows = await _select(reader, caller.only_customer, decision_id=decision_id, limit=1)
        if not rows:
            raise NoSuchDecision()
        return DecisionView.model_validate(rows[0])

    return routes


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
