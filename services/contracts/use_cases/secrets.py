"""Secrets of servers: kept, replaced, removed, and revealed to the technician of work in progress (5.2).

Whoever keeps the wrapping key is asked before the transaction: a data key is wrapped before anything is stored, and
unwrapped before the reveal is on record.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar
from uuid import UUID

from services.contracts.db import agreements, bookings, contracts, secrets, servers, work_requests
from services.contracts.domain.secret import (
    MOST_SECRETS,
    ReplacedMeanwhile,
    RevealedTooOften,
    SealedValue,
    Secret,
    SecretKind,
    TooManySecrets,
    VaultKeyAway,
    bound_to,
    reveal_facts,
    revealing,
)
from services.contracts.domain.work_request import WorkRequest
from services.contracts.gateways import envelope
from services.contracts.gateways.key_providers.provider import KeyProvider, KeyStoreAway, KeyUnknown, WrappedKey
from services.contracts.use_cases import replacements
from shared.events.contracts import SecretRevealed
from shared.kernel.ids import new_id
from shared.kit import audit_trail, decisions
from shared.kit.commands import Command
from shared.kit.db import Reader, Transaction

REVEALS_COUNTED = timedelta(hours=1)
TRIES = 2
"""To unwrap: between reading and asking, the data key may have been wrapped anew and the old key retired."""

T = TypeVar("T")


@dataclass(frozen=True)
class Revealed:
    """Leaves for the technician and is kept nowhere."""

    secret: Secret
    value: str = field(repr=False)


async def keep_secret(
    command: Command,
    keys: KeyProvider,
    server_id: UUID,
    *,
    only_customer: UUID | None,
    name: str,
    kind: SecretKind,
    value: str,
    channel: str,
) -> Secret:
    """Raises NoSuchServer, OralRequest, SecretNameTaken, TooManySecrets, VaultKeyAway."""
    async with command.reading() as reader:
        await servers.get(reader, server_id, only_customer=only_customer)
        data_key, wrapped = await _wrapped(reader, keys)
    async with command.transaction() as tx:
        await _check_channel(tx, server_id, channel)
        server = await servers.get_for_update(tx, server_id, only_customer=only_customer)
        if await secrets.count_kept(tx, server.id) >= MOST_SECRETS:
            raise TooManySecrets(f"There are {MOST_SECRETS} already.")
        secret = Secret(
            id=new_id(),
            customer_id=server.customer_id,
            server_id=server.id,
            name=name,
            kind=kind,
            kept_at=tx.now,
            kept_by=tx.actor,
        )
        await secrets.insert(tx, secret)
        await secrets.put_value(tx, _sealed(tx, secret, value, data_key, wrapped))
        _record(tx, secret, "keep-secret", channel=channel)
    return secret


async def replace_secret(
    command: Command,
    keys: KeyProvider,
    secret_id: UUID,
    *,
    only_customer: UUID | None,
    replaces: int,
    value: str,
    channel: str,
) -> Secret:
    """Another value, which answers disclosures of the one before.

    Raises NoSuchSecret, OralRequest, IllegalMove, ReplacedMeanwhile, VaultKeyAway.
    """
    async with command.reading() as reader:
        seen = await secrets.get(reader, secret_id, only_customer=only_customer)
        data_key, wrapped = await _wrapped(reader, keys)
    async with command.transaction() as tx:
        await _check_channel(tx, seen.server_id, channel)
        concerned = await replacements.lock_contracts(tx, seen.server_id, secret_id)
        secret = await secrets.get_for_update(tx, secret_id, only_customer=only_customer)
        secret.replace(replaces=replaces, now=tx.now)
        await secrets.save(tx, secret)
        await secrets.put_value(tx, _sealed(tx, secret, value, data_key, wrapped))
        _record(tx, secret, "replace-secret", channel=channel)
        await replacements.hear_of_replacement(tx, secret, concerned)
    return secret


async def remove_secret(tx: Transaction, secret_id: UUID, *, only_customer: UUID | None, channel: str) -> Secret:
    """The value is gone; raises NoSuchSecret, OralRequest, IllegalMove."""
    secret = await secrets.get_for_update(tx, secret_id, only_customer=only_customer)
    await _check_channel(tx, secret.server_id, channel)
    secret.remove(by=tx.actor, now=tx.now)
    await secrets.save(tx, secret)
    await secrets.drop_value(tx, secret.id)
    _record(tx, secret, "remove-secret", channel=channel)
    return secret


async def reveal_secret(
    command: Command, keys: KeyProvider, work_request_id: UUID, secret_id: UUID, *, technician: str, per_hour: int
) -> Revealed:
    """The value leaves once the reveal is on the audit trail and on its way to the customer.

    Raises NoSuchWorkRequest, NoSuchSecret, NotTheTechnician, WorkNotInProgress, ReplacedMeanwhile, RevealedTooOften,
    VaultKeyAway.
    """
    sealed, data_key = await _opened(command, keys, work_request_id, secret_id, technician)
    async with command.transaction() as tx:
        work = await work_requests.get_for_update(tx, work_request_id, only_customer=None)
        secret = await secrets.get_for_update(tx, secret_id, only_customer=None)
        await decisions.judge(
            tx,
            revealing,
            subject_id=secret.id,
            customer_id=work.customer_id,
            agreement_version=work.agreement_version,
            parameters=agreements.published().version(work.agreement_version).parameters.shown(),
            facts=reveal_facts(work, secret, technician),
        )
        if secret.current_version != sealed.number:
            raise ReplacedMeanwhile(f"The vault keeps version {secret.current_version}.")
        await _insist_on_measure(tx, technician, per_hour, work)
        value = envelope.unseal(
            sealed.nonce, sealed.ciphertext, data_key, bound_to(secret.server_id, secret.id, sealed.number)
        )
        await secrets.keep_reveal(
            tx, reveal_id=new_id(), secret=secret, work_request_id=work.id, revealed_to=technician
        )
        await _tell_reveal(tx, work, secret)
    return Revealed(secret, value.decode())


async def _opened(
    command: Command, keys: KeyProvider, work_request_id: UUID, secret_id: UUID, technician: str
) -> tuple[SealedValue, bytes]:
    """The value as it is kept, and its data key; whoever may not see it has nobody asked."""
    for attempt in range(1, TRIES + 1):
        async with command.reading() as reader:
            work = await work_requests.get(reader, work_request_id, only_customer=None)
            secret = await secrets.get(reader, secret_id, only_customer=work.customer_id)
            revealing.judge(reveal_facts(work, secret, technician), {})
            sealed = await secrets.value_of(reader, secret.id)
        try:
            return sealed, await asked(keys.unwrap, WrappedKey(sealed.key_id, sealed.wrapped_key))
        except VaultKeyAway:
            if attempt == TRIES:
                raise
    raise AssertionError


async def asked(ask: Callable[[WrappedKey], Awaitable[T]], wrapped: WrappedKey) -> T:
    """Raises VaultKeyAway."""
    try:
        return await ask(wrapped)
    except (KeyUnknown, KeyStoreAway) as trouble:
        raise VaultKeyAway() from trouble


async def _wrapped(reader: Reader, keys: KeyProvider) -> tuple[bytes, WrappedKey]:
    """A fresh data key; the key that wraps it is made only where nothing needs the one that was lost."""
    data_key = envelope.new_data_key()
    make = not await secrets.any_value(reader)
    try:
        return data_key, await keys.wrap(data_key, make=make)
    except (KeyUnknown, KeyStoreAway) as trouble:
        raise VaultKeyAway() from trouble


def _sealed(tx: Transaction, secret: Secret, value: str, data_key: bytes, wrapped: WrappedKey) -> SealedValue:
    number = secret.current_version
    nonce, ciphertext = envelope.seal(value.encode(), data_key, bound_to(secret.server_id, secret.id, number))
    return SealedValue(
        secret_id=secret.id,
        number=number,
        key_id=wrapped.key_id,
        wrapped_key=wrapped.content,
        nonce=nonce,
        ciphertext=ciphertext,
        kept_at=tx.now,
        kept_by=tx.actor,
    )


async def _check_channel(tx: Transaction, server_id: UUID, channel: str) -> None:
    """By the agreement of the contract that has the server, and while none has it by the current one."""
    serving = await contracts.ids_serving(tx, server_id)
    if not serving:
        agreements.published().current(tx.now).check_channel(channel)
    for contract_id in serving:
        contract = await contracts.get(tx, contract_id, only_customer=None)
        agreements.published().version(contract.agreement_version).check_channel(channel)


async def _insist_on_measure(tx: Transaction, technician: str, per_hour: int, work: WorkRequest) -> None:
    """Two at once of one technician are counted one after the other; raises RevealedTooOften."""
    await bookings.lock(tx, technician)
    if await secrets.count_reveals(tx, technician, since=tx.now - REVEALS_COUNTED) >= per_hour:
        raise RevealedTooOften(f"These are {per_hour}.", agreement_version=work.agreement_version)


async def _tell_reveal(tx: Transaction, work: WorkRequest, secret: Secret) -> None:
    contract = await contracts.get(tx, work.contract_id, only_customer=None)
    fact = SecretRevealed(
        customer_id=work.customer_id,
        contract_id=work.contract_id,
        agreement_version=work.agreement_version,
        period_index=contract.current_index,
        work_request_id=work.id,
        server_id=secret.server_id,
        secret_id=secret.id,
        secret_version=secret.current_version,
        revealed_at=tx.now,
    )
    tx.publish(fact)
    _record(tx, secret, "reveal-secret", work_request_id=str(work.id))


def _record(tx: Transaction, secret: Secret, verb: str, **details: str) -> None:
    shown = {"server_id": str(secret.server_id), "secret_version": secret.current_version}
    audit_trail.record(tx, secret.customer_id, verb, secret.id, **shown, **details)
