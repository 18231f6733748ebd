"""What customers accepted, kept with the exact text, terms and plan as they were the first time, and found again."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from services.contracts.db.tables import (
    acceptances,
    accepted_texts,
    accepted_versions,
    bought_plans,
    contracts,
    customers,
)
from services.contracts.domain.agreement import AcceptedText, Agreement, Language
from services.contracts.domain.catalogue import Plan
from services.contracts.domain.contract import Acceptance
from shared.kit.db import Reader, Transaction

MOST_SHOWN = 1_200
"""A renewal every month for a hundred years."""


class PublishedChanged(Exception):
    """An agreement version that somebody accepted, or a plan that somebody bought, is another one now: restore it."""


async def keep(tx: Transaction, acceptance: Acceptance, agreement: Agreement, plan: Plan) -> None:
    """Store the customer's word beside the very text, terms and plan; raises PublishedChanged."""
    text = acceptance.text
    wanted = (text.sha256, agreement.terms_sha256, plan.definition_sha256)
    kept = await _kept(tx, text, plan)
    if None in kept:
        await _keep_first(tx, acceptance, agreement, plan)
        kept = await _kept(tx, text, plan)
    if kept != wanted:
        raise PublishedChanged(f"agreement {text.version} in {text.language}, or plan {plan.code} {plan.version}")
    await tx.insert(
        acceptances,
        {
            "id": acceptance.id,
            "contract_id": acceptance.contract_id,
            "period_index": acceptance.period_index,
            "agreement_version": text.version,
            "language": text.language,
            "text_sha256": text.sha256,
            "accepted_by": acceptance.accepted_by,
            "address": acceptance.address,
            "channel": acceptance.channel,
            "accepted_at": acceptance.accepted_at,
        },
    )


async def _kept(reader: Reader, text: AcceptedText, plan: Plan) -> tuple[str | None, ...]:
    """SHA-256 of text, terms and plan as they were accepted and bought first, in one question."""
    texts, versions, plans = accepted_texts.c, accepted_versions.c, bought_plans.c
    questions = (
        sa.select(texts.text_sha256).where(texts.agreement_version == text.version, texts.language == text.language),
        sa.select(versions.terms_sha256).where(versions.agreement_version == text.version),
        sa.select(plans.definition_sha256).where(plans.plan_code == plan.code, plans.plan_version == plan.version),
    )
    row = await reader.row(sa.select(*(question.scalar_subquery() for question in questions)))
    assert row is not None
    return tuple(row)


async def _keep_first(tx: Transaction, acceptance: Acceptance, agreement: Agreement, plan: Plan) -> None:
    text, at = acceptance.text, acceptance.accepted_at
    # Over every unique constraint: one left out would fail the second of two customers who accept at once.
    await tx.insert_once(
        accepted_texts,
        {
            "agreement_version": text.version,
            "language": text.language,
            "text_sha256": text.sha256,
            "text": agreement.texts[text.language],
            "first_accepted_at": at,
        },
    )
    await tx.insert_once(
        accepted_versions,
        {
            "agreement_version": text.version,
            "terms_sha256": agreement.terms_sha256,
            "terms": agreement.terms,
            "first_accepted_at": at,
        },
    )
    await tx.insert_once(
        bought_plans,
        {
            "plan_code": plan.code,
            "plan_version": plan.version,
            "definition_sha256": plan.definition_sha256,
            "definition": plan.definition,
            "first_bought_at": at,
        },
    )


async def of_contract(reader: Reader, contract_id: UUID) -> list[Acceptance]:
    """All acceptances of the contract, oldest first."""
    rows = await reader.rows(
        sa.select(acceptances)
        .where(acceptances.c.contract_id == contract_id)
        .order_by(acceptances.c.accepted_at, acceptances.c.id)
        .limit(MOST_SHOWN)
    )
    return [_acceptance(row) for row in rows]


async def text_accepted(
    reader: Reader,
    customer_id: UUID,
    *,
    agreement_version: str,
    by: datetime,
    contract_ids: Collection[UUID] = (),
    period_index: int | None = None,
) -> tuple[Language, str] | None:
    """The text of that version in the language that this customer had accepted it in by then.

    Accepted in several: for one of these contracts rather than another, for that period or an earlier one of it
    rather than a later one, and then the latest.
    """
    of_another = sa.case((acceptances.c.contract_id.in_(contract_ids), 0), else_=1)
    of_later = sa.case((acceptances.c.period_index > (period_index or 1), 1), else_=0)
    query = (
        sa.select(acceptances.c.language, accepted_texts.c.text)
        .join(contracts, contracts.c.id == acceptances.c.contract_id)
        .join(
            accepted_texts,
            sa.and_(
                accepted_texts.c.agreement_version == acceptances.c.agreement_version,
                accepted_texts.c.language == acceptances.c.language,
            ),
        )
        .where(
            contracts.c.customer_id == customer_id,
            acceptances.c.agreement_version == agreement_version,
            acceptances.c.accepted_at <= by,
        )
        .order_by(of_another, of_later, acceptances.c.accepted_at.desc())
        .limit(1)
    )
    row = await reader.row(query)
    return None if row is None else (Language(row.language), row.text)


async def language_of(reader: Reader, customer_id: UUID) -> Language | None:
    """The language that the customer chose for itself."""
    found = await reader.scalar(sa.select(customers.c.language).where(customers.c.id == customer_id))
    return None if found is None else Language(found)


def _acceptance(row: sa.Row[Any]) -> Acceptance:
    return Acceptance(
        id=row.id,
        contract_id=row.contract_id,
        period_index=row.period_index,
        text=AcceptedText(version=row.agreement_version, language=Language(row.language), sha256=row.text_sha256),
        accepted_by=row.accepted_by,
        address=row.address,
        channel=row.channel,
        accepted_at=row.accepted_at,
    )
