"""Paging: an emergency calls whoever is on call, then the next, and administrators when it reaches nobody (1.3)."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import structlog

from services.notify.db import pages, staff
from services.notify.domain.attempt import Answer
from services.notify.domain.page import FAILED, PENDING, Call, Page, PageReason, Recipient
from services.notify.domain.staff import StaffContact
from services.notify.gateways.smtp import Mail, MailServer
from services.notify.use_cases.letters import page_for
from shared.events.contracts import (
    EmergencyAcknowledged,
    EmergencyEscalated,
    EmergencyReported,
    EmergencyWithdrawn,
)
from shared.kernel.ids import new_id
from shared.kit.db import Database, Transaction
from shared.kit.schedule import TryLater, set_timer

PAGE = "page.send"

log = structlog.get_logger("notify")


async def hear_of_call(tx: Transaction, fact: EmergencyReported | EmergencyEscalated) -> None:
    """Page those whose turn it is; an escalation that was heard of before, or is overtaken by the end, pages nobody."""
    escalation = fact.escalation if isinstance(fact, EmergencyEscalated) else 0
    call = Call(
        emergency_id=fact.emergency_id,
        customer_id=fact.customer_id,
        agreement_version=fact.agreement_version,
        facts=fact.model_dump(mode="json", include={"contract_id", "server_id", "reported_at", "acknowledge_by"}),
        escalation=escalation,
        called_at=tx.now,
    )
    if not await pages.add_call(tx, call):
        known = await pages.call_for_update(tx, fact.emergency_id)
        if known is None or not known.is_under_way or known.escalation >= escalation:
            return
        known.escalation = escalation
        await pages.save_call(tx, known)
    on_call = [contact for _, contact in await staff.on_call(tx, position=escalation + 1)]
    if on_call:
        await _page(tx, call, on_call, PageReason.ON_CALL)
    else:
        reason = PageReason.NOBODY_ANSWERS if escalation else PageReason.NOBODY_ON_CALL
        await _page_administrators(tx, call, reason)


async def hear_of_end(tx: Transaction, fact: EmergencyAcknowledged | EmergencyWithdrawn) -> None:
    """Nobody is called any more; pages that are on their way are dropped as their turn comes."""
    call = await pages.call_for_update(tx, fact.emergency_id)
    if call is not None and call.is_under_way:
        call.ended_at = tx.now
        await pages.save_call(tx, call)


async def send_page(database: Database, mail_server: MailServer, page_id: UUID) -> None:
    """Raises TryLater while the mail server puts us off, for minutes: then administrators are called instead."""
    async with database.transaction() as tx:
        started = await _start(tx, page_id)
    if started is None:
        return
    page, call, recipient = started
    answer = await mail_server.send(_mail(page, call, recipient))
    async with database.transaction() as tx:
        delay = await _conclude(tx, page_id, answer)
    if delay is not None:
        raise TryLater(f"SMTP {answer.code or 'unreachable'}", delay)


async def _page_administrators(tx: Transaction, call: Call, reason: PageReason) -> None:
    administrators = await staff.administrators(tx)
    if administrators:
        await _page(tx, call, administrators, reason)
        return
    log.error("an emergency reaches nobody", emergency_id=str(call.emergency_id), escalation=call.escalation)


async def _page(tx: Transaction, call: Call, people: list[StaffContact], reason: PageReason) -> None:
    for contact in {contact.subject: contact for contact in people}.values():
        page = Page(
            id=new_id(),
            emergency_id=call.emergency_id,
            escalation=call.escalation,
            subject=contact.subject,
            reason=reason,
            created_at=tx.now,
        )
        if await pages.add(tx, page):
            await set_timer(tx, PAGE, page.id, tx.now)


async def _start(tx: Transaction, page_id: UUID) -> tuple[Page, Call, Recipient] | None:
    call, page = await _locked(tx, page_id)
    if page.status is not PENDING:
        return None
    contact = await staff.find(tx, page.subject)
    if not call.is_under_way:
        page.drop(tx.now)
        await pages.save(tx, page)
        return None
    if contact is None:
        page.fail(tx.now)
        await pages.save(tx, page)
        await _call_others(tx, call, page)
        return None
    page.tries += 1
    await pages.save(tx, page)
    return page, call, Recipient(email=contact.email, language=contact.language)


async def _conclude(tx: Transaction, page_id: UUID, answer: Answer) -> timedelta | None:
    call, page = await _locked(tx, page_id)
    if page.status is not PENDING:  # another replica, which took over the lease, was quicker
        return None
    delay = page.settle(answer, now=tx.now)
    await pages.save(tx, page)
    if page.status is FAILED:
        await _call_others(tx, call, page)
    return delay


async def _call_others(tx: Transaction, call: Call, failed: Page) -> None:
    """Administrators, when one who is on call was not reached; that they were not either, the gauge tells."""
    if call.is_under_way and failed.reason is PageReason.ON_CALL:
        await _page_administrators(tx, call, PageReason.NOT_DELIVERED)


async def _locked(tx: Transaction, page_id: UUID) -> tuple[Call, Page]:
    """The call before its pages, as everybody locks them."""
    call = await pages.call_for_update(tx, await pages.emergency_of(tx, page_id))
    assert call is not None, "calls are never deleted"
    return call, await pages.get_for_update(tx, page_id)


def _mail(page: Page, call: Call, recipient: Recipient) -> Mail:
    letter = page_for(page, call, recipient.language)
    return Mail(
        id=page.id,
        recipient=recipient.email,
        subject=letter.subject,
        body=letter.body,
        language=recipient.language,
        date=page.created_at,
    )
