"""The key of the vault: whether it is the one that the secrets were wrapped by, and whether who keeps it answers."""

from __future__ import annotations

import sqlalchemy as sa

from deploy.doctor.databases import url_of
from deploy.doctor.finding import Finding, Patient, error, ok
from deploy.doctor.reading import NO_ANSWER, reading
from services.contracts.db.tables import secret_values
from services.contracts.gateways import transit_of, vault_key_file
from services.contracts.gateways.key_providers.file_keyring import PREFIX, FileKeyring
from services.contracts.gateways.key_providers.provider import KeyStoreAway
from services.contracts.settings import ContractsSettings

PART = "vault"
TRANSIT = "MAINSTAY_CONTRACTS_VAULT_TRANSIT_URL"


async def look(patient: Patient) -> list[Finding]:
    settings = patient.services.get("contracts")
    if not isinstance(settings, ContractsSettings):
        return []
    findings: list[Finding] = []
    transit, said = transit_of(settings), "a file keeps its key"
    if transit is not None:
        try:
            said = f"{await transit.current()} is in use"
        except KeyStoreAway as away:
            remedy = f"look whether Vault is up and unsealed, or correct {TRANSIT}, its token, mount or key"
            findings.append(error(PART, str(away), remedy))
    keyring = FileKeyring(vault_key_file(settings, patient.common))
    for key_id, secrets in await _wrapped_by(patient):
        if key_id.startswith(PREFIX):
            if not await keyring.has(key_id):
                found = f"{secrets} secret(s) are wrapped by the key {key_id.removeprefix(PREFIX)}, which is not there"
                remedy = f"put it back as {keyring.keys.file}, or beside the one in use as {keyring.keys.retired.name}"
                findings.append(error(PART, found, remedy))
        elif transit is None or not transit.keeps(key_id):
            found = f"{secrets} secret(s) are wrapped by {key_id}, which the settings do not name"
            findings.append(error(PART, found, f"set {TRANSIT} with its mount and key"))
    return findings or [ok(PART, said)]


async def _wrapped_by(patient: Patient) -> list[tuple[str, int]]:
    """None also where the database does not tell, which is said about the database."""
    by_key = sa.select(secret_values.c.key_id, sa.func.count().label("secrets")).group_by(secret_values.c.key_id)
    try:
        async with reading(url_of(patient, "contracts")) as reader:
            rows = await reader.rows(by_key.order_by(secret_values.c.key_id)) if reader else []
    except NO_ANSWER:
        return []
    return [(row.key_id, row.secrets) for row in rows]
