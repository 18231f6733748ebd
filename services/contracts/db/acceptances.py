"""What a customer accepted, found again."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa

from services.contracts.db.tables import acceptances, accepted_texts, contracts, customers
from services.contracts.domain.agreement import Language
from shared.kit.db import Reader


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
