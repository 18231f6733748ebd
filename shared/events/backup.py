"""What the backup service tells: protections of servers, their runs, restores and the end of data."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import Field

from shared.events.envelope import AwareDatetime, Fact

Text = Annotated[str, Field(max_length=200)]


class ProtectionFact(Fact):
    producer: ClassVar[str] = "backup"
    aggregate: ClassVar[str] = "protection"
    key: ClassVar[str] = "protection_id"

    protection_id: UUID
    contract_id: UUID
    server_id: UUID


class ProtectionStarted(ProtectionFact):
    """A server of a registered service is backed up from now on."""

    kind: ClassVar[str] = "protection-started"
    minor: ClassVar[int] = 1
    for_partners: ClassVar[frozenset[str] | None] = frozenset(
        {"protection_id", "contract_id", "server_id", "every_hours", "place", "started_at"}
    )

    every_hours: int
    place: Literal["local", "remote"] = "local"
    started_at: AwareDatetime


class BackupCompleted(ProtectionFact):
    """A run's snapshot was found again by the run's tag, and a sample file read back with the same hash."""

    kind: ClassVar[str] = "backup-completed"
    minor: ClassVar[int] = 1
    for_partners: ClassVar[frozenset[str] | None] = frozenset(
        {"protection_id", "server_id", "run_id", "slot_at", "place", "completed_at"}
    )

    run_id: UUID
    slot_at: AwareDatetime
    snapshot_id: Text
    files: int
    bytes: int
    sample_sha256: Text | None
    place: Literal["local", "remote"] = "local"
    completed_at: AwareDatetime


class BackupFailed(ProtectionFact):
    """A run did not succeed; it is tried again."""

    kind: ClassVar[str] = "backup-failed"
    for_partners: ClassVar[frozenset[str] | None] = frozenset(
        {"protection_id", "server_id", "run_id", "slot_at", "reason"}
    )

    run_id: UUID
    slot_at: AwareDatetime
    reason: Literal["nothing-to-back-up", "restic-failed", "not-found-again", "sample-differs", "restic-missing"]
    failed_at: AwareDatetime


class RestoreCompleted(ProtectionFact):
    """A file came back out of a snapshot; `sha256` is of its content."""

    kind: ClassVar[str] = "restore-completed"
    for_partners: ClassVar[frozenset[str] | None] = frozenset(
        {"protection_id", "server_id", "restore_id", "sha256", "within_target", "completed_at"}
    )

    restore_id: UUID
    run_id: UUID
    sha256: Text
    bytes: int
    within_target: bool
    completed_at: AwareDatetime


class ProtectionEnded(ProtectionFact):
    """No new runs; data is kept until `retain_until`."""

    kind: ClassVar[str] = "protection-ended"
    for_partners: ClassVar[frozenset[str] | None] = frozenset(
        {"protection_id", "server_id", "ended_at", "retain_until"}
    )

    ended_at: AwareDatetime
    retain_until: AwareDatetime


class BackupDataDeleted(ProtectionFact):
    """The retention period is over and the repository is gone."""

    kind: ClassVar[str] = "backup-data-deleted"
    for_partners: ClassVar[frozenset[str] | None] = frozenset({"protection_id", "server_id", "deleted_at"})

    deleted_at: AwareDatetime


class RemoteApplicationFact(Fact):
    producer: ClassVar[str] = "backup"
    aggregate: ClassVar[str] = "remote_application"
    key: ClassVar[str] = "application_id"

    application_id: UUID
    contract_id: UUID
    server_id: UUID
    agreement_version: Text


class RemoteBackupApplied(RemoteApplicationFact):
    """A customer applied for backups of a server to a remote place."""

    kind: ClassVar[str] = "remote-backup-applied"
    for_partners: ClassVar[frozenset[str] | None] = frozenset({"application_id", "server_id", "applied_at"})

    applied_at: AwareDatetime


class RemoteBackupApproved(RemoteApplicationFact):
    """From now on the server is backed up to the remote place as well."""

    kind: ClassVar[str] = "remote-backup-approved"
    for_partners: ClassVar[frozenset[str] | None] = frozenset({"application_id", "server_id", "approved_at"})

    every_hours: int
    approved_at: AwareDatetime


class RemoteBackupDeclined(RemoteApplicationFact):
    """The company does not back the server up remotely."""

    kind: ClassVar[str] = "remote-backup-declined"
    for_partners: ClassVar[frozenset[str] | None] = frozenset({"application_id", "server_id", "reason", "declined_at"})

    reason: Literal["too-large", "no-capacity", "unreachable", "unlawful"]
    declined_at: AwareDatetime


class RemoteBackupEnded(RemoteApplicationFact):
    """The customer took its application back, or wants no remote backup any more."""

    kind: ClassVar[str] = "remote-backup-ended"
    for_partners: ClassVar[frozenset[str] | None] = frozenset({"application_id", "server_id", "ended_at"})

    ended_at: AwareDatetime


FACTS: list[type[Fact]] = [
    ProtectionStarted,
    BackupCompleted,
    BackupFailed,
    RestoreCompleted,
    ProtectionEnded,
    BackupDataDeleted,
    RemoteBackupApplied,
    RemoteBackupApproved,
    RemoteBackupDeclined,
    RemoteBackupEnded,
]
