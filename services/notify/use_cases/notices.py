"""Asking for a notice, going on with it as facts and contacts arrive, and trying it again."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from services.notify.db import contacts, contracts, notices
from services.notify.domain.notice import WAITING_FOR_CONTACT, WAITING_FOR_FACTS, Notice, NoticeKind
from shared.kernel.ids import new_id
from shared.kit import audit_trail
from shared.kit.db import Transaction
from shared.kit.schedule import set_timer

SEND = "notice.send"


async def hear_zone(tx: Transaction, customer_id: UUID, zone: str) -> None:
    """The customer's zone, in which its dates are written before a contract has one."""
    await contacts.lock_customer(tx, customer_id)
    await contacts.keep_zone(tx, customer_id, zone)
    await go_on_with_waiting(tx, customer_id)


async def hear_period(
    tx: Transaction,
    customer_id: UUID,
    contract_id: UUID,
    *,
    period_index: int,
    agreement_version: str,
    zone: str | None = None,
) -> None:
    """Which agreement version rules a period of the contract, and the contract's zone where it is told."""
    await contacts.lock_customer(tx, customer_id)
    await contracts.keep_period(tx, contract_id, period_index, agreement_version)
    if zone is not None:
        await contracts.keep_zone(tx, contract_id, zone)
    await go_on_with_waiting(tx, customer_id)


async def hear_invoice(tx: Transaction, customer_id: UUID, invoice_id: UUID, number: str) -> None:
    await contacts.lock_customer(tx, customer_id)
    await contracts.keep_invoice(tx, invoice_id, number)
    await go_on_with_waiting(tx, customer_id)


async def ask_for_notice(
    tx: Transaction,
    kind: NoticeKind,
    *,
    caused_by: UUID,
    customer_id: UUID,
    contract_id: UUID,
    subject_id: UUID,
    period_index: int,
    facts: dict[str, Any],
    invoice_id: UUID | None = None,
) -> None:
    """One notice per kind and causing event, however often it is asked for."""
    notice = Notice(
        id=new_id(),
        kind=kind,
        caused_by=caused_by,
        customer_id=customer_id,
        contract_id=contract_id,
        subject_id=subject_id,
        invoice_id=invoice_id,
        period_index=period_index,
        facts=facts,
        created_at=tx.now,
    )
    await contacts.lock_customer(tx, customer_id)
    if await notices.add(tx, notice):
        await _go_on(tx, notice, has_contact=await contacts.find(tx, customer_id) is not None)


async def go_on_with_waiting(tx: Transaction, customer_id: UUID) -> None:
    """Something new is known of this customer, whose row `tx` has locked: some notices may wait for just that."""
    waiting = await notices.waiting_of(tx, customer_id)
    if waiting:
        has_contact = await contacts.find(tx, customer_id) is not None
        for notice in waiting:
            await _go_on(tx, notice, has_contact=has_contact)


async def retry_notice(tx: Transaction, notice_id: UUID) -> Notice:
    """Support has an undeliverable notice tried again; raises NoSuchNotice, IllegalMove."""
    notice = await notices.get_for_update(tx, notice_id)
    notice.retry()
    await notices.update(tx, notice)
    await set_timer(tx, SEND, notice.id, tx.now)
    audit_trail.record(tx, notice.customer_id, "retry_notice", notice.id)
    return notice


async def _go_on(tx: Transaction, notice: Notice, *, has_contact: bool) -> None:
    before = notice.status
    if notice.status is WAITING_FOR_FACTS:
        notice.word(await contracts.background_of(tx, notice))
    if notice.status is WAITING_FOR_CONTACT and has_contact:
        notice.address()
        await set_timer(tx, SEND, notice.id, tx.now)
    if notice.status is not before:
        await notices.update(tx, notice)
