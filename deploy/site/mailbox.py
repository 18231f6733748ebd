"""The development mailbox: an SMTP server on this machine that keeps every message as a file and delivers none."""

from __future__ import annotations

import asyncio
import email
import email.policy
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Annotated, Any

from aiosmtpd.smtp import SMTP, Envelope
from fastapi import APIRouter, Query
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from deploy.site.pages import page
from deploy.site.settings import SiteSettings
from shared.kernel.ids import new_id
from shared.kit.settings import CommonSettings

LARGEST_MESSAGE = 5_000_000
KEPT_MESSAGES = 1_000
SHOWN_MESSAGES = 200
LONGEST_TEXT = 20_000


class Message(BaseModel):
    """One e-mail as the mailbox got it. `text` is its plain part, at most 20,000 characters."""

    message_id: str
    to: list[str]
    subject: str
    date: datetime | None
    text: str


class Messages(BaseModel):
    """Newest first."""

    items: list[Message]


class Mailbox:
    """Messages are files in one folder, named so that they sort by arrival; the oldest go when there are too many."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def store(self, recipients: list[str], content: bytes) -> None:
        path = self._folder / f"{new_id()}.eml"
        head = "".join(f"X-Envelope-To: {address}\r\n" for address in recipients).encode("utf-8", "replace")
        fresh = path.with_suffix(".new")
        fresh.write_bytes(head + content)
        fresh.rename(path)
        for old in self._paths()[KEPT_MESSAGES:]:
            old.unlink(missing_ok=True)

    def messages(self, to: str | None = None) -> list[Message]:
        """Newest first, at most SHOWN_MESSAGES; only those to the address `to` if given."""
        found: list[Message] = []
        for path in self._paths():
            message = _read(path)
            if to is None or to.lower() in (address.lower() for address in message.to):
                found.append(message)
            if len(found) == SHOWN_MESSAGES:
                break
        return found

    def _paths(self) -> list[Path]:
        return sorted(self._folder.glob("*.eml"), reverse=True)

    async def handle_DATA(self, _server: SMTP, _session: Any, envelope: Envelope) -> str:
        """aiosmtpd's hook for a complete message."""
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        await asyncio.to_thread(self.store, list(envelope.rcpt_tos), content)
        return "250 2.0.0 Kept in the development mailbox"


def _read(path: Path) -> Message:
    message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    body = message.get_body(("plain",))
    try:
        sent = parsedate_to_datetime(str(message["date"]))
    except (TypeError, ValueError):
        sent = None
    return Message(
        message_id=str(message["message-id"] or path.stem),
        to=[str(address) for address in message.get_all("x-envelope-to", [])],
        subject=" ".join(str(message["subject"] or "").split()),
        date=sent,
        text=str(body.get_content())[:LONGEST_TEXT] if body is not None else "",
    )


def mailbox_socket(host: str, port: int) -> socket.socket:
    """A bound socket on `port`, or on a free one where that is taken."""
    for candidate in (port, 0):
        bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((host, candidate))
        except OSError:
            bound.close()
            if candidate == 0:
                raise
        else:
            return bound
    raise AssertionError("unreachable")


@asynccontextmanager
async def receiving(mailbox: Mailbox, bound: socket.socket) -> AsyncIterator[None]:
    """Take mail on the bound socket meanwhile."""

    def protocol() -> SMTP:
        return SMTP(
            mailbox, data_size_limit=LARGEST_MESSAGE, enable_SMTPUTF8=True, hostname="mailbox.localhost", timeout=60
        )

    server = await asyncio.get_running_loop().create_server(protocol, sock=bound)
    try:
        yield
    finally:
        server.close()


@dataclass(frozen=True)
class MailboxAt:
    mailbox: Mailbox
    smtp_host: str
    smtp_port: int


async def open_mailbox(stack: AsyncExitStack, common: CommonSettings, pages: SiteSettings) -> MailboxAt | None:
    """The mailbox of this installation, receiving until `stack` closes; None in production."""
    if common.mode != "development":
        return None
    bound = mailbox_socket(pages.mailbox_host, pages.mailbox_port)
    mailbox = Mailbox(common.data_dir.absolute() / "mailbox")
    await stack.enter_async_context(receiving(mailbox, bound))
    return MailboxAt(mailbox, pages.mailbox_host, bound.getsockname()[1])


def mailbox_routes(at: MailboxAt) -> APIRouter:
    routes = APIRouter(prefix="/mailbox", tags=["development"])

    @routes.get("", include_in_schema=False)
    async def show(_request: Request) -> Response:
        messages = await asyncio.to_thread(at.mailbox.messages)
        smtp = f"{at.smtp_host}:{at.smtp_port}"
        return page("mailbox.html", messages=messages, smtp=smtp, shown=SHOWN_MESSAGES)

    @routes.get("/messages")
    async def messages(to: Annotated[str | None, Query(max_length=320)] = None) -> Messages:
        return Messages(items=await asyncio.to_thread(at.mailbox.messages, to))

    return routes
