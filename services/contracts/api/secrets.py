"""The vault: secrets of servers go in by writing only, and are shown to the technician of work in progress (5.2)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, Field, SecretStr

from services.contracts.api.customers import READERS, WRITERS
from services.contracts.api.work_requests import TECHNICIANS
from services.contracts.db import secrets, servers
from services.contracts.domain.secret import (
    LARGEST_VALUE_BYTES,
    NoSuchSecret,
    ReplacedMeanwhile,
    RevealedTooOften,
    Secret,
    SecretKind,
    SecretNameTaken,
    TooManySecrets,
    VaultKeyAway,
    WorkNotInProgress,
)
from services.contracts.domain.server import NoSuchServer
from services.contracts.domain.work_request import NoSuchWorkRequest, NotTheTechnician
from services.contracts.use_cases import secrets as stories
from shared.kernel.channels import OralRequest
from shared.kernel.errors import IllegalMove, StaleWrite
from shared.kit.fields import Body, Line, SecretText, View
from shared.kit.paging import Page, Paging
from shared.kit.routing import CallerIn, CommandIn, HouseRouter, Read, RuntimeIn, Tx

router = HouseRouter("/v1", tag="vault")


def _fits(value: SecretStr) -> SecretStr:
    if not 1 <= len(value.get_secret_value().encode()) <= LARGEST_VALUE_BYTES:
        raise ValueError(f"must have 1 to {LARGEST_VALUE_BYTES} bytes in UTF-8")
    return value


Value = Annotated[SecretText, AfterValidator(_fits)]


class KeepSecret(Body):
    name: Line
    kind: SecretKind
    value: Value
    channel: Line


class ReplaceSecret(Body):
    """`replaces`: the version that is kept now, so that two who replace at once do not undo each other."""

    value: Value
    replaces: Annotated[int, Field(strict=True, ge=1, le=2**31 - 1)]
    channel: Line


class RemoveSecret(Body):
    channel: Line


class RevealSecret(Body):
    secret_id: UUID


class SecretView(View):
    """All that is told of a secret; its value is not among it. `version` counts the values it has had."""

    id: UUID
    customer_id: UUID
    server_id: UUID
    name: str
    kind: SecretKind
    version: int
    kept_at: datetime
    replaced_at: datetime | None
    removed_at: datetime | None

    @classmethod
    def of(cls, secret: Secret) -> SecretView:
        return cls(
            id=secret.id,
            customer_id=secret.customer_id,
            server_id=secret.server_id,
            name=secret.name,
            kind=secret.kind,
            version=secret.current_version,
            kept_at=secret.kept_at,
            replaced_at=secret.replaced_at,
            removed_at=secret.removed_at,
        )


class RevealedView(View):
    secret_id: UUID
    kind: SecretKind
    version: int
    value: str


@router.post(
    "/servers/{server_id}/secrets",
    callers=WRITERS,
    status_code=201,
    confidential=True,
    refusals=[NoSuchServer, OralRequest, SecretNameTaken, TooManySecrets, VaultKeyAway],
)
async def keep_secret(
    server_id: UUID, body: KeepSecret, command: CommandIn, caller: CallerIn, runtime: RuntimeIn
) -> SecretView:
    """Put a secret of the server into the vault; it is never shown again but to the technician of work in progress."""
    secret = await stories.keep_secret(
        command,
        runtime.gateways.vault_keys,
        server_id,
        only_customer=caller.only_customer,
        name=body.name,
        kind=body.kind,
        value=body.value.get_secret_value(),
        channel=body.channel,
    )
    return SecretView.of(secret)


@router.get("/servers/{server_id}/secrets", callers=READERS, refusals=[NoSuchServer])
async def list_secrets(server_id: UUID, reader: Read, caller: CallerIn, paging: Paging) -> Page[SecretView]:
    """Which secrets of the server the vault keeps: names, kinds, versions and times, never values."""
    server = await servers.get(reader, server_id, only_customer=caller.only_customer)
    found = await secrets.page(reader, server.id, after=paging.after, limit=paging.limit)
    return paging.page(found, SecretView.of, lambda secret: secret.id)


@router.post(
    "/secrets/{secret_id}/replace",
    callers=WRITERS,
    confidential=True,
    refusals=[NoSuchSecret, OralRequest, IllegalMove, ReplacedMeanwhile, StaleWrite, VaultKeyAway],
)
async def replace_secret(
    secret_id: UUID,
    body: ReplaceSecret,
    command: CommandIn,
    caller: CallerIn,
    runtime: RuntimeIn,
) -> SecretView:
    """Keep another value in its place; the one before is gone, and disclosures of it are answered (5.2)."""
    secret = await stories.replace_secret(
        command,
        runtime.gateways.vault_keys,
        secret_id,
        only_customer=caller.only_customer,
        replaces=body.replaces,
        value=body.value.get_secret_value(),
        channel=body.channel,
    )
    return SecretView.of(secret)


@router.post(
    "/secrets/{secret_id}/remove",
    callers=WRITERS,
    refusals=[NoSuchSecret, OralRequest, IllegalMove, StaleWrite],
)
async def remove_secret(secret_id: UUID, body: RemoveSecret, tx: Tx, caller: CallerIn) -> SecretView:
    """Have the vault forget the value."""
    secret = await stories.remove_secret(tx, secret_id, only_customer=caller.only_customer, channel=body.channel)
    return SecretView.of(secret)


@router.post(
    "/work-requests/{work_request_id}/reveal-secret",
    callers=TECHNICIANS,
    confidential=True,
    refusals=[
        NoSuchWorkRequest,
        NoSuchSecret,
        NotTheTechnician,
        WorkNotInProgress,
        ReplacedMeanwhile,
        RevealedTooOften,
        VaultKeyAway,
    ],
)
async def reveal_secret(
    work_request_id: UUID, body: RevealSecret, command: CommandIn, caller: CallerIn, runtime: RuntimeIn
) -> RevealedView:
    """Show a secret of the server to its technician while the work is in progress (5.2); the customer is told."""
    revealed = await stories.reveal_secret(
        command,
        runtime.gateways.vault_keys,
        work_request_id,
        body.secret_id,
        technician=caller.subject,
        per_hour=runtime.settings.reveals_per_hour,
    )
    secret = revealed.secret
    return RevealedView(secret_id=secret.id, kind=secret.kind, version=secret.current_version, value=revealed.value)
