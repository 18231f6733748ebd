"""A secret of a server, as password or key: who may see it, and when (5.2). Its value is nowhere in here."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from services.contracts.domain.judgements import judgements
from services.contracts.domain.work_request import NotTheTechnician, WorkRequest, WorkStatus
from shared.kernel.errors import Conflict, NotFound, Unavailable
from shared.kernel.judgement import Facts, Verdict
from shared.kernel.lifecycle import Lifecycle

LARGEST_VALUE_BYTES = 65_536
MOST_SECRETS = 100
"""Kept of one server at once."""


class NoSuchSecret(NotFound):
    """There is no such secret of this server, or it is not yours."""


class SecretNameTaken(Conflict):
    """The vault keeps another secret of this server under that name."""


class TooManySecrets(Conflict):
    """No more secrets are kept of one server."""


class ReplacedMeanwhile(Conflict):
    """This is not the version that the vault keeps now."""


class WorkNotInProgress(Conflict):
    """A secret is revealed only while work on its server is in progress."""

    clause: ClassVar[str | None] = "5.2"


class RevealedTooOften(Conflict):
    """This technician has had as many secrets revealed within an hour as one may."""

    clause: ClassVar[str | None] = "5.2"


class VaultKeyAway(Unavailable):
    """The key that opens the vault is away; try again later."""


class SecretKind(StrEnum):
    PASSWORD = "password"  # noqa: S105
    SSH_KEY = "ssh-key"
    TOKEN = "token"  # noqa: S105


class SecretStatus(StrEnum):
    KEPT = "kept"
    REMOVED = "removed"


SECRET_LIFECYCLE = Lifecycle[SecretStatus](
    "secret",
    [
        ("replace", {SecretStatus.KEPT}, SecretStatus.KEPT),
        ("remove", {SecretStatus.KEPT}, SecretStatus.REMOVED),
    ],
)


@dataclass(eq=False, kw_only=True)
class Secret:
    """`current_version` counts the values it has had, from 1; only the last one is kept."""

    id: UUID
    customer_id: UUID
    server_id: UUID
    name: str
    kind: SecretKind
    kept_at: datetime
    kept_by: str
    current_version: int = 1
    status: SecretStatus = SecretStatus.KEPT
    replaced_at: datetime | None = None
    removed_at: datetime | None = None
    removed_by: str | None = None
    version: int = 1

    def replace(self, *, replaces: int, now: datetime) -> None:
        """Another value takes the place of version `replaces`; raises IllegalMove, ReplacedMeanwhile."""
        self.status = SECRET_LIFECYCLE.after("replace", self.status)
        if replaces != self.current_version:
            raise ReplacedMeanwhile(
                f"The vault keeps version {self.current_version}.", field="replaces", version=self.current_version
            )
        self.current_version += 1
        self.replaced_at = now

    def remove(self, *, by: str, now: datetime) -> None:
        """Raises IllegalMove."""
        self.status = SECRET_LIFECYCLE.after("remove", self.status)
        self.removed_by, self.removed_at = by, now


@dataclass(frozen=True, kw_only=True)
class SealedValue:
    """One version of a value, encrypted under a data key of its own, and that key wrapped by the key `key_id`."""

    secret_id: UUID
    number: int
    key_id: str
    wrapped_key: bytes = field(repr=False)
    nonce: bytes = field(repr=False)
    ciphertext: bytes = field(repr=False)
    kept_at: datetime
    kept_by: str


def bound_to(server_id: UUID, secret_id: UUID, number: int) -> bytes:
    """What a sealed value is bound to: put into the place of another it does not open."""
    return f"mainstay/vault/{server_id}/{secret_id}/{number}".encode()


def reveal_facts(work: WorkRequest, secret: Secret, technician: str) -> dict[str, object]:
    return {
        "agreement_version": work.agreement_version,
        "work_request_id": str(work.id),
        "work_status": work.status.value,
        "is_its_technician": work.technician == technician,
        "is_on_its_server": work.server_id == secret.server_id and work.customer_id == secret.customer_id,
        "secret_id": str(secret.id),
        "secret_status": secret.status.value,
        "secret_version": secret.current_version,
    }


@judgements.on("secret.reveal")
def revealing(facts: Facts, _parameters: Facts) -> Verdict:
    """To the technician of work in progress on that server, and to nobody else (5.2).

    Raises NotTheTechnician, NoSuchSecret, WorkNotInProgress.
    """
    cited = facts["agreement_version"]
    if not facts["is_its_technician"]:
        raise NotTheTechnician(clause="5.2", agreement_version=cited)
    if not facts["is_on_its_server"] or facts["secret_status"] != SecretStatus.KEPT:
        raise NoSuchSecret()
    if facts["work_status"] != WorkStatus.IN_PROGRESS:
        raise WorkNotInProgress(f"The work is {facts['work_status']}.", agreement_version=cited)
    return Verdict("revealed", "5.2")
