"""A secret in the vault of an installation, without anybody who signs in."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from services.contracts.db import customers, secrets, servers
from services.contracts.domain.agreement import Language
from services.contracts.domain.customer import Customer
from services.contracts.domain.secret import SecretKind, bound_to
from services.contracts.domain.server import Server
from services.contracts.gateways import envelope
from services.contracts.gateways.key_providers.provider import WrappedKey
from services.contracts.use_cases.secrets import keep_secret
from shared.kernel.ids import new_id
from shared.kit.commands import Command
from shared.kit.db import Transaction
from shared.kit.runtime import Runtime


async def a_secret(runtime: Runtime, value: str) -> UUID:
    """Of a new customer's new server; returns its id."""
    async with runtime.database.transaction() as tx:
        customer = Customer(
            id=new_id(), name="Beispiel AG", language=Language.EN, zone="Europe/Berlin", registered_at=tx.now
        )
        await customers.insert(tx, customer)
        server = Server(
            id=new_id(), customer_id=customer.id, name="web-1", operating_system="Debian 12", registered_at=tx.now
        )
        await servers.insert(tx, server)

    async def begin(tx: Transaction) -> Any:
        tx.actor = "a-test"

    secret = await keep_secret(
        Command(runtime.database, begin),
        runtime.gateways.vault_keys,
        server.id,
        only_customer=None,
        name="root",
        kind=SecretKind.PASSWORD,
        value=value,
        channel="portal",
    )
    return secret.id


async def the_value(runtime: Runtime, secret_id: UUID) -> str:
    """Opened with the key that the installation has."""
    async with runtime.database.reading() as reader:
        secret = await secrets.get(reader, secret_id, only_customer=None)
        sealed = await secrets.value_of(reader, secret_id)
    data_key = await runtime.gateways.vault_keys.unwrap(WrappedKey(sealed.key_id, sealed.wrapped_key))
    place = bound_to(secret.server_id, secret.id, sealed.number)
    return envelope.unseal(sealed.nonce, sealed.ciphertext, data_key, place).decode()
