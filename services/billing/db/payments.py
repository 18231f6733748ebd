"""Rows ↔ payments."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from services.billing.db.tables import payments
from services.billing.domain.evidence import Evidence
from services.billing.domain.payment import DuplicateBankReference, NoSuchPayment, Payment, PaymentStatus
from shared.kernel.errors import StaleWrite
from shared.kernel.money import Money
from shared.kit.db import Reader, Transaction


@dataclass(frozen=True)
class AuditQueue:
    """Reported payments on which nobody has decided; the instant is that of the oldest."""

    length: int
    oldest_reported_at: datetime | None


async def add(tx: Transaction, payment: Payment) -> None:
    """Raises DuplicateBankReference."""
    if not await tx.insert_once(payments, {**_frozen(payment), **_moving(payment), "version": payment.version}):
        raise DuplicateBankReference(field="bank_reference", agreement_version=payment.agreement_version)


async def save(tx: Transaction, payment: Payment) -> None:
    """Raises StaleWrite."""
    result = await tx.execute(
        sa.update(payments)
        .where(payments.c.id == payment.id, payments.c.version == payment.version)
        .values(_moving(payment) | {"version": payment.version + 1})
    )
    if result.rowcount != 1:
        raise StaleWrite()
    payment.version += 1


async def get(reader: Reader, payment_id: UUID, *, only_customer: UUID | None) -> Payment:
    """Raises NoSuchPayment."""
    return await _get(reader, sa.select(payments), payment_id, only_customer)


async def get_for_update(tx: Transaction, payment_id: UUID, *, only_customer: UUID | None) -> Payment:
    """Locks the row; raises NoSuchPayment."""
    return await _get(tx, sa.select(payments).with_for_update(), payment_id, only_customer)


async def of_invoice(reader: Reader, invoice_id: UUID) -> list[Payment]:
    """In the order they were reported; whoever decides by them holds the invoice's lock."""
    rows = await reader.rows(sa.select(payments).where(payments.c.invoice_id == invoice_id).order_by(payments.c.id))
    return [_payment(row) for row in rows]


async def audit_queue(reader: Reader) -> AuditQueue:
    in_audit = sa.text("status = 'reported'")  # a literal, so that the partial index answers
    length = await reader.scalar(sa.select(sa.func.count()).select_from(payments).where(in_audit))
    first = sa.select(payments.c.reported_at).where(in_audit).order_by(payments.c.id).limit(1)
    return AuditQueue(length, await reader.scalar(first))


async def listed(
    reader: Reader,
    *,
    only_customer: UUID | None,
    status: PaymentStatus | None,
    invoice_id: UUID | None,
    after: UUID | None,
    limit: int,
) -> list[Payment]:
    """Up to `limit` + 1, oldest report first."""
    query = sa.select(payments).order_by(payments.c.id).limit(limit + 1)
    for column, value in [("customer_id", only_customer), ("invoice_id", invoice_id), ("status", status)]:
        if value is not None:
            query = query.where(payments.c[column] == value)
    if after is not None:
        query = query.where(payments.c.id > after)
    return [_payment(row) for row in await reader.rows(query)]


async def _get(reader: Reader, query: sa.Select[Any], payment_id: UUID, only_customer: UUID | None) -> Payment:
    query = query.where(payments.c.id == payment_id)
    if only_customer is not None:
        query = query.where(payments.c.customer_id == only_customer)
    row = await reader.row(query)
    if row is None:
        raise NoSuchPayment()
    return _payment(row)


def _frozen(payment: Payment) -> dict[str, Any]:
    evidence = payment.evidence
    return {
        "id": payment.id,
        "invoice_id": payment.invoice_id,
        "customer_id": payment.customer_id,
        "contract_id": payment.contract_id,
        "period_index": payment.period_index,
        "agreement_version": payment.agreement_version,
        "amount_minor": payment.amount.minor,
        "currency": payment.amount.currency,
        "bank_reference": payment.bank_reference,
        "bank_reference_key": payment.bank_reference_key,
        "paid_on": payment.paid_on,
        "channel": payment.channel,
        "evidence_name": evidence.name if evidence else None,
        "evidence_type": evidence.media_type if evidence else None,
        "evidence_size_bytes": evidence.size_bytes if evidence else None,
        "evidence_sha256": evidence.sha256 if evidence else None,
        "recorded_by": payment.recorded_by,
        "reported_at": payment.reported_at,
    }


def _moving(payment: Payment) -> dict[str, Any]:
    return {
        "status": payment.status.value,
        "audited_by": payment.audited_by,
        "audited_at": payment.audited_at,
        "rejection_reason": payment.rejection_reason,
    }


def _payment(row: Any) -> Payment:
    evidence = None
    if row.evidence_sha256 is not None:
        evidence = Evidence(row.evidence_name, row.evidence_type, row.evidence_size_bytes, row.evidence_sha256)
    return Payment(
        id=row.id,
        invoice_id=row.invoice_id,
        customer_id=row.customer_id,
        contract_id=row.contract_id,
        period_index=row.period_index,
        agreement_version=row.agreement_version,
        amount=Money(row.amount_minor, row.currency),
        bank_reference=row.bank_reference,
        paid_on=row.paid_on,
        channel=row.channel,
        evidence=evidence,
        recorded_by=row.recorded_by,
        reported_at=row.reported_at,
        status=PaymentStatus(row.status),
        audited_by=row.audited_by,
        audited_at=row.audited_at,
        rejection_reason=row.rejection_reason,
        version=row.version,
    )
