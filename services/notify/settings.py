"""What the notify service reads from its environment."""

from __future__ import annotations

from email.utils import parseaddr
from typing import Literal

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from shared.kit.settings import ServiceSettings, needed

RESERVED_DOMAINS = frozenset({"example", "invalid", "test", "localhost"})
"""RFC 2606: nobody ever gets mail there."""


class NotifySettings(ServiceSettings):
    """`MAINSTAY_NOTIFY_…`"""

    model_config = SettingsConfigDict(env_prefix="MAINSTAY_NOTIFY_", extra="ignore", frozen=True)

    smtp_host: str = Field(
        "127.0.0.1",
        description="mail server that takes the notices",
        json_schema_extra=needed("the name of your mail server", by_workers_only=True),
    )
    smtp_port: int = Field(
        1025,
        ge=1,
        le=65535,
        description="its port: 587 for starttls, 465 for tls, 25 for a relay of your own; default the mailbox",
        json_schema_extra=needed("your mail server's port, such as 587", by_workers_only=True),
    )
    smtp_security: Literal["none", "starttls", "tls"] = Field(
        "none", description="starttls upgrades a plain connection; tls encrypts from the first byte"
    )
    smtp_username: str | None = Field(None, description="who signs in to the mail server; none: nobody does")
    smtp_password: SecretStr | None = Field(None, description="password of smtp_username")
    sender: str = Field(
        "Mainstay <notices@mainstay.example>",
        description="From of every notice: Name <address>",
        json_schema_extra=needed("the address that notices come from: Name <address>", by_workers_only=True),
    )

    @field_validator("smtp_username", "smtp_password", mode="before")
    @classmethod
    def _nothing_is_none(cls, value: object) -> object:
        """An empty variable or file: a mail server that asks nobody."""
        return value or None

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

    def unfit_for_production(self, *, working: bool) -> list[str]:
        lines = super().unfit_for_production(working=working)
        domain = parseaddr(self.sender)[1].rpartition("@")[2]
        if working and "sender" in self.model_fields_set and domain.split(".")[-1] in RESERVED_DOMAINS:
            lines.append("MAINSTAY_NOTIFY_SENDER: production needs an address of a domain that exists")
        return lines
