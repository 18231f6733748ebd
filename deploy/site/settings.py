"""Settings of the pages around the services."""

from __future__ import annotations

from pydantic import Field

from shared.kit.settings import Settings


class SiteSettings(Settings):
    """`MAINSTAY_…`: what only processes with an HTTP server read."""

    mailbox_host: str = Field("127.0.0.1", description="address the development mailbox takes mail on")
    mailbox_port: int = Field(
        1025, ge=0, le=65535, description="SMTP port of the development mailbox; taken: a free one"
    )
    trusted_proxies: str | None = Field(
        None,
        description="addresses whose X-Forwarded-For is believed, comma separated; none: an API believes 127.0.0.1, "
        "where its front is, and everything else nobody",
    )
