"""What the notify service reads from its environment."""

from __future__ import annotations

from email.utils import parseaddr
from typing import Literal

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from shared.kit.settings import ServiceSettings


class NotifySettings(ServiceSettings):
    """`MAINSTAY_NOTIFY_…`"""

    model_config = SettingsConfigDict(env_prefix="MAINSTAY_NOTIFY_", extra="ignore", frozen=True)

    smtp_host: str = Field("127.0.0.1", description="mail server that takes the notices")
    smtp_port: int = Field(1025, ge=1, le=65535)
    smtp_security: Literal["none", "starttls", "tls"] = Field(
        "none", description="starttls upgrades a plain connection; tls encrypts from the first byte"
    )
    smtp_username: str | None = None
    smtp_password: SecretStr | None = None
    sender: str = Field("Mainstay <notices@mainstay.example>", description="From of every notice: Name <address>")

    @field_validator("sender")
    @classmethod
    def _sender_is_an_address(cls, sender: str) -> str:
        address = parseaddr(sender)[1]
        if address.count("@") != 1 or not sender.isprintable():
            raise ValueError("MAINSTAY_NOTIFY_SENDER: must be Name <address>")
        return sender

    @model_validator(mode="after")
    def _password_is_not_sent_in_clear(self) -> NotifySettings:
        if self.smtp_password is not None and self.smtp_security == "none":
            raise ValueError("MAINSTAY_NOTIFY_SMTP_SECURITY: a password needs starttls or tls")
        return self
