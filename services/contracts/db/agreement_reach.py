"""The contracts that an agreement version would reach, in pages and in numbers."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa

from services.contracts.db.tables import contracts, periods
from services.contracts.domain.agreement_reach import Certainty, Reached, ReachedPlan, Span
from services.contracts.domain.contract import SERVED
from shared.kit.db import Reader

closing = sa.func.coalesce(periods.c.extended_until, periods.c.ends_at)


async def page(reader: Reader, span: Span, *, after: UUID | None, limit: int) -> list[Reached]:
    """Up to `limit` + 1 of them in the order of the contracts' ids."""
    query = (
        sa.select(
            contracts.c.id,
            contracts.c.customer_id,
            periods.c.agreement_version,
            periods.c.plan_code,
            periods.c.months,
            periods.c.window_opens_at,
            closing.label("closes_at"),
        )
        .where(_reached(span))
        .order_by(contracts.c.id)
        .limit(limit + 1)
    )
    if after is not None:
        query = query.where(contracts.c.id > after)
    return [
        Reached(
            contract_id=row.id,
            customer_id=row.customer_id,
            agreement_version=row.agreement_version,
            plan_code=row.plan_code,
            term_months=row.months,
            opens_at=row.window_opens_at,
            closes_at=row.closes_at,
            certainty=Certainty.CERTAIN if row.window_opens_at >= span.since else Certainty.OPEN,
        )
        for row in await reader.rows(query)
    ]


async def counts(reader: Reader, span: Span) -> list[ReachedPlan]:
    """How many there are of each plan and term, in the order of the codes."""
    certain = sa.func.sum(sa.case((periods.c.window_opens_at >= span.since, 1), else_=0))
    rows = await reader.rows(
        sa.select(periods.c.plan_code, periods.c.months, sa.func.count().label("reached"), certain.label("certain"))
        .select_from(contracts.join(periods, periods.c.contract_id == contracts.c.id))
        .where(_reached(span))
        .group_by(periods.c.plan_code, periods.c.months)
        .order_by(periods.c.plan_code, periods.c.months)
    )
    return [
        ReachedPlan(plan_code=row.plan_code, term_months=row.months, contracts=row.reached, certain=int(row.certain))
        for row in rows
    ]


def _reached(span: Span) -> sa.ColumnElement[bool]:
    """The newest period of a served contract has no decision yet, and the time to decide reaches into the span."""
    columns = periods.c
    conditions: list[Any] = [
        columns.contract_id == contracts.c.id,
        contracts.c.status.in_(sorted(SERVED)),
        columns.period_index >= contracts.c.current_index,
        columns.choice.is_(None),
        closing > span.since,
    ]
    if span.until is not None:
        conditions.append(columns.window_opens_at < span.until)
    return sa.and_(*conditions)
