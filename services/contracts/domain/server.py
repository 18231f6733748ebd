"""A server that a customer named."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared.kernel.errors import Conflict, NotFound


class NoSuchServer(NotFound):
    """There is no such server, or it is not yours."""


class ServerInAnotherContract(Conflict):
    """A server belongs to one contract at a time."""


@dataclass(frozen=True, kw_only=True)
class Server:
    id: UUID
    customer_id: UUID
    name: str
    operating_system: str
    registered_at: datetime
