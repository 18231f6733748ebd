"""What contracts reads from its environment."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from shared.kit.settings import ServiceSettings, needed


class ContractsSettings(ServiceSettings):
    """`MAINSTAY_CONTRACTS_…`"""

    model_config = SettingsConfigDict(env_prefix="MAINSTAY_CONTRACTS_", extra="ignore", frozen=True)

    vault_key_file: Path | None = Field(
        None,
        description="32 random bytes that wrap the keys of the secrets in the vault; default in the data folder, where "
        "they are made up when there is nothing in the vault yet",
        json_schema_extra=needed(
            "a file with 32 random bytes, which you keep a copy of, or a transit engine: without it no secret is read"
        ),
    )
    vault_transit_url: str | None = Field(
        None,
        pattern=r"^https?://[^\s/?#@]+$",
        description="https://host:8200 of a HashiCorp Vault whose transit engine wraps them instead; none: the file",
    )
    vault_transit_token: SecretStr | None = Field(None, description="what that Vault lets us in by")
    vault_transit_mount: str = Field(
        "transit", pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$", description="where its transit engine is mounted"
    )
    vault_transit_key: str = Field("mainstay", pattern=r"^[A-Za-z0-9_.-]+$", description="name of the key there")
    vault_transit_ca_file: Path | None = Field(
        None, description="certificates (PEM) that Vault's is checked against; default those of the system"
    )
    reveals_per_hour: int = Field(
        30, ge=1, le=1000, description="how many secrets one technician may have revealed within an hour"
    )

    @model_validator(mode="after")
    def _transit_is_whole(self) -> ContractsSettings:
        if self.vault_transit_url is not None and self.vault_transit_token is None:
            raise ValueError(
                "MAINSTAY_CONTRACTS_VAULT_TRANSIT_TOKEN: is needed with MAINSTAY_CONTRACTS_VAULT_TRANSIT_URL"
            )
        return self

    def left_to_chance(self, *, working: bool) -> list[str]:
        """A transit engine takes the place of the file, and is spoken to in confidence."""
        lines = super().left_to_chance(working=working)
        if self.vault_transit_url is None:
            return lines
        if not self.vault_transit_url.startswith("https://"):
            lines.append("MAINSTAY_CONTRACTS_VAULT_TRANSIT_URL: production needs https")
        return [line for line in lines if not line.startswith("MAINSTAY_CONTRACTS_VAULT_KEY_FILE:")]
