"""What other services tell of a contract is kept once, in their words and without anybody's personal data."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from services.contracts.db import evidence_facts
from services.contracts.db.evidence_facts import EvidenceFact
from shared.events.backup import (
    BackupCompleted,
    BackupDataDeleted,
    BackupFailed,
    ProtectionEnded,
    ProtectionStarted,
    RemoteBackupApplied,
    RemoteBackupApproved,
    RemoteBackupDeclined,
    RemoteBackupEnded,
    RestoreCompleted,
)
from shared.events.billing import (
    CreditNoteIssued,
    InvoiceIssued,
    InvoiceSettled,
    InvoiceVoided,
    PaymentAudited,
    PaymentReported,
    RefundDeclined,
    RefundReleased,
)
from shared.events.envelope import Envelope, Fact
from shared.events.notify import NoticeDelivered, NoticeUndeliverable
from shared.kit.db import Transaction

BACKUPS: tuple[type[Fact], ...] = (
    ProtectionStarted,
    BackupCompleted,
    BackupFailed,
    RestoreCompleted,
    ProtectionEnded,
    BackupDataDeleted,
)
REMOTE_APPLICATIONS: tuple[type[Fact], ...] = (
    RemoteBackupApplied,
    RemoteBackupApproved,
    RemoteBackupDeclined,
    RemoteBackupEnded,
)
PAYMENTS: tuple[type[Fact], ...] = (
    InvoiceIssued,
    InvoiceSettled,
    InvoiceVoided,
    PaymentReported,
    PaymentAudited,
    RefundReleased,
    RefundDeclined,
    CreditNoteIssued,
)
NOTICES: tuple[type[Fact], ...] = (NoticeDelivered, NoticeUndeliverable)
HEARD = BACKUPS + REMOTE_APPLICATIONS + PAYMENTS + NOTICES

_IN_COLUMNS = {"customer_id", "contract_id", "server_id"}


async def keep(tx: Transaction, fact: Any, envelope: Envelope) -> None:
    """A notice about what an older release told without its contract is about the subject."""
    kept = EvidenceFact(
        id=envelope.id,
        contract_id=fact.contract_id or fact.subject_id,
        server_id=getattr(fact, "server_id", None),
        kind=fact.kind,
        source=envelope.producer,
        subject_id=UUID(envelope.subject),
        epoch=envelope.aggepoch,
        seq=envelope.aggseq,
        at=envelope.time,
        facts=fact.model_dump(mode="json", exclude=_IN_COLUMNS | {fact.key}),
    )
    await evidence_facts.keep(tx, kept)
