"""What contracts reads from its environment."""

from __future__ import annotations

from pydantic_settings import SettingsConfigDict

from shared.kit.settings import ServiceSettings


class ContractsSettings(ServiceSettings):
    """`MAINSTAY_CONTRACTS_…`"""

    model_config = SettingsConfigDict(env_prefix="MAINSTAY_CONTRACTS_", extra="ignore", frozen=True)
