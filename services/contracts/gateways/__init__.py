"""Third parties of contracts: whoever keeps the key of the vault."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from services.contracts.gateways.key_providers.file_keyring import FileKeyring
from services.contracts.gateways.key_providers.keyring import Keyring
from services.contracts.gateways.key_providers.provider import KeyProvider
from services.contracts.gateways.key_providers.transit import Transit
from services.contracts.settings import ContractsSettings
from shared.kit.settings import CommonSettings


@dataclass(frozen=True)
class Gateways:
    vault_keys: KeyProvider


def build(settings: ContractsSettings, common: CommonSettings) -> Gateways:
    """The real ones."""
    keyring = FileKeyring(vault_key_file(settings, common))
    transit = transit_of(settings)
    return Gateways(Keyring(transit, keyring) if transit else keyring)


def vault_key_file(settings: ContractsSettings, common: CommonSettings) -> Path:
    return settings.vault_key_file or common.data_dir.absolute() / "keys" / "vault.key"


def transit_of(settings: ContractsSettings) -> Transit | None:
    """None where a file keeps the key."""
    if settings.vault_transit_url is None:
        return None
    token = settings.vault_transit_token
    return Transit(
        settings.vault_transit_url,
        token.get_secret_value() if token else "",
        mount=settings.vault_transit_mount,
        key=settings.vault_transit_key,
        ca_file=settings.vault_transit_ca_file,
    )
