"""Sending a notice: the intent is recorded, the mail server called outside any transaction, its answer recorded."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from services.notify.db import contacts, notices
from services.notify.domain.attempt import Answer, Attempt, delay_after
from services.notify.domain.notice import DELIVERED, PENDING, UNDELIVERABLE, Notice, settling
from services.notify.gateways.smtp import Mail, MailServer
from services.notify.use_cases.letters import letter_for
from shared.events.notify import NoticeDelivered, NoticeUndeliverable
from shared.kernel.ids import new_id
from shared.kit import decisions
from shared.kit.db import Database, Transaction
from shared.kit.schedule import TryLater


async def send_notice(database: Database, mail_server: MailServer, notice_id: UUID) -> None:
    """Raises TryLater while the mail server puts us off.

    Dying between the call and the record sends the message again; its Message-ID, made from the
    notice's id, lets the receiver recognise the second.
    """
    async with database.transaction() as tx:
        started = await _start(tx, notice_id)
    if started is None:
        return
    notice, attempt = started
    answer = await mail_server.send(_mail(notice, attempt))
    async with database.transaction() as tx:
        delay = await _conclude(tx, notice_id, attempt, answer)
    if delay is not None:
        raise TryLater(f"SMTP {answer.code or 'unreachable'}", delay)


async def _start(tx: Transaction, notice_id: UUID) -> tuple[Notice, Attempt] | None:
    notice = await notices.get_for_update(tx, notice_id)
    contact = await contacts.find(tx, notice.customer_id)
    if notice.status is not PENDING or contact is None:
        return None
    notice.tries += 1
    attempt = Attempt(id=new_id(), notice_id=notice.id, at=tx.now, recipient=contact.email, language=contact.language)
    await notices.update(tx, notice)
    await notices.add_attempt(tx, attempt)
    return notice, attempt


def _mail(notice: Notice, attempt: Attempt) -> Mail:
    letter = letter_for(notice, attempt.language)
    return Mail(
        id=notice.id,
        recipient=attempt.recipient,
        subject=letter.subject,
        body=letter.body,
        language=attempt.language,
        date=attempt.at,
    )


async def _conclude(tx: Transaction, notice_id: UUID, attempt: Attempt, answer: Answer) -> timedelta | None:
    """How long to wait before the next try; None when there is none to come."""
    notice = await notices.get_for_update(tx, notice_id)
    attempt.conclude(answer, now=tx.now)
    await notices.update_attempt(tx, attempt)
    if notice.status is not PENDING:  # another replica, which took over the lease, was quicker
        return None
    notice.settle(answer, now=tx.now)
    await notices.update(tx, notice)
    if notice.status is PENDING:
        return delay_after(notice.tries)
    await _announce(tx, notice, attempt, answer)
    return None


async def _announce(tx: Transaction, notice: Notice, attempt: Attempt, answer: Answer) -> None:
    tx.causation_id = str(notice.caused_by)
    told = {
        "notice_id": notice.id,
        "customer_id": notice.customer_id,
        "subject_id": notice.subject_id,
        "contract_id": notice.contract_id,
        "notice_kind": notice.kind.value,
        "caused_by": notice.caused_by,
    }
    if notice.status is DELIVERED:
        tx.publish(
            NoticeDelivered.model_validate(
                told
                | {
                    "language": attempt.language.value,
                    "smtp_code": attempt.smtp_code,
                    "reply_sha256": attempt.reply_sha256,
                    "delivered_at": tx.now,
                }
            )
        )
    elif notice.status is UNDELIVERABLE:
        tx.publish(NoticeUndeliverable.model_validate(told | {"reason": notice.failure, "failed_at": tx.now}))
    await decisions.judge(
        tx,
        settling,
        subject_id=notice.subject_id,
        customer_id=notice.customer_id,
        agreement_version=notice.agreement_version,
        parameters={},
        facts={
            "notice_id": str(notice.id),
            "notice_kind": notice.kind.value,
            "cites": notice.clause,
            "tries": notice.tries,
            "has_tries_left": notice.has_tries_left,
            "smtp_code": answer.code,
            "about_message": answer.about_message,
            "reply_sha256": attempt.reply_sha256,
        },
        happened=notice.status.value,
    )
