"""A customer's server, as the contracts service named it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared.kernel.errors import NotFound


class NoSuchServer(NotFound):
    """There is no such server, or it is not yours, or it has not become known here yet: try again shortly."""


@dataclass(frozen=True, kw_only=True)
class Server:
    id: UUID
    customer_id: UUID
    name: str
    registered_at: datetime
