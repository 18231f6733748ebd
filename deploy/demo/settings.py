"""Tokens for a deployment whose identity provider is not the development issuer."""

from __future__ import annotations

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from shared.kit.settings import Settings


class DemoSettings(Settings):
    """`MAINSTAY_DEMO_TOKEN_…`: all that are not given come from URL/dev-issuer."""

    model_config = SettingsConfigDict(env_prefix="MAINSTAY_DEMO_", extra="ignore", frozen=True)

    token_customer: SecretStr | None = Field(None, description="role customer, with a customer_id claim")
    token_other_customer: SecretStr | None = Field(None, description="role customer, with another customer_id claim")
    token_clerk: SecretStr | None = Field(None, description="role finance: records payments")
    token_auditor: SecretStr | None = Field(None, description="role finance, another subject: audits payments")
    token_technician: SecretStr | None = Field(
        None, description="role technician: approves remote backup, and takes an emergency on"
    )
    token_partner: SecretStr | None = Field(None, description="role partner, with the partner_id of a known partner")
    token_admin: SecretStr | None = Field(
        None, description="role admin: moves the clock, registers the partner, plans who is on call"
    )

    def tokens(self) -> dict[str, str]:
        """Those that were given, by who they are for."""
        given = {name.removeprefix("token_"): getattr(self, name) for name in type(self).model_fields}
        return {name: token.get_secret_value() for name, token in given.items() if token is not None}
