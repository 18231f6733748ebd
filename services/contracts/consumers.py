"""What contracts does when billing and backup speak."""

from __future__ import annotations

from services.contracts.use_cases import payments, refunds, verified_backups
from services.contracts.use_cases.evidence import hearing
from shared.events.backup import BackupCompleted, BackupDataDeleted
from shared.events.billing import PaymentAudited, PaymentReported, RefundDeclined, RefundReleased
from shared.events.envelope import Envelope
from shared.kit.bus.handlers import Handlers
from shared.kit.db import Transaction

handlers = Handlers()


@handlers.on(PaymentReported)
async def payment_reported(tx: Transaction, fact: PaymentReported, _envelope: Envelope) -> None:
    await payments.hear_of_report(tx, fact)


@handlers.on(PaymentAudited)
async def payment_audited(tx: Transaction, fact: PaymentAudited, _envelope: Envelope) -> None:
    await payments.hear_of_audit(tx, fact)


@handlers.on(RefundReleased)
async def refund_released(tx: Transaction, fact: RefundReleased, _envelope: Envelope) -> None:
    await refunds.hear_of_release(tx, fact)


@handlers.on(RefundDeclined)
async def refund_declined(tx: Transaction, fact: RefundDeclined, _envelope: Envelope) -> None:
    await refunds.hear_of_decline(tx, fact)


@handlers.on(BackupCompleted)
async def backup_completed(tx: Transaction, fact: BackupCompleted, _envelope: Envelope) -> None:
    await verified_backups.hear_of_backup(tx, fact)


@handlers.on(BackupDataDeleted)
async def backup_data_deleted(tx: Transaction, fact: BackupDataDeleted, _envelope: Envelope) -> None:
    await verified_backups.hear_of_deletion(tx, fact)


for _kind in hearing.HEARD:
    handlers.on(_kind)(hearing.keep)
