"""The mail server behind a Protocol: a client over aiosmtplib, and a fake that keeps what it is given."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from typing import Literal, Protocol
from uuid import UUID

import aiosmtplib
from aiosmtplib.errors import SMTPException, SMTPResponseException

from services.notify.domain.attempt import Answer
from services.notify.domain.contact import Language
from shared.kit.tracing import step

TIMEOUT_SECONDS = 20.0
_LANGUAGE_TAGS = {Language.EN: "en", Language.ZH: "zh-Hans"}


@dataclass(frozen=True, kw_only=True)
class Mail:
    """One message. Its Message-ID is made from `id`, so the same mail sent twice can be recognised."""

    id: UUID
    recipient: str
    subject: str
    body: str
    language: Language
    date: datetime


class MailServer(Protocol):
    async def send(self, mail: Mail) -> Answer:
        """Hand the message over; whatever the server says, or that it says nothing, is an answer and not an error."""
        ...


class SmtpServer:
    """One connection per message."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        sender: str,
        security: Literal["none", "starttls", "tls"] = "none",
        username: str | None = None,
        password: str | None = None,
        timeout: float = TIMEOUT_SECONDS,
    ) -> None:
        self._sender_name, self._sender = parseaddr(sender)
        self._timeout = timeout
        self._client_options = {
            "hostname": host,
            "port": port,
            "username": username,
            "password": password,
            "use_tls": security == "tls",
            "start_tls": security == "starttls",
        }

    async def send(self, mail: Mail) -> Answer:
        message = message_of(mail, sender=self._sender, sender_name=self._sender_name).as_bytes(policy=SMTP)
        with step("smtp send", "CLIENT", {"network.protocol.name": "smtp"}):
            return await self._sent(mail.recipient, message)

    async def _sent(self, recipient: str, message: bytes) -> Answer:
        client = aiosmtplib.SMTP(timeout=self._timeout, **self._client_options)  # type: ignore[arg-type]
        try:
            async with asyncio.timeout(self._timeout * 3):
                try:
                    await client.connect()
                except SMTPResponseException as error:
                    return Answer(error.code, error.message, about_message=False)
                return await self._hand_over(client, recipient, message)
        except (SMTPException, OSError, ssl.SSLError, TimeoutError) as error:
            return Answer(None, type(error).__name__)
        finally:
            client.close()

    async def _hand_over(self, client: aiosmtplib.SMTP, recipient: str, message: bytes) -> Answer:
        try:
            await client.mail(self._sender)
            await client.rcpt(recipient)
            response = await client.data(message)
        except SMTPResponseException as error:
            return Answer(error.code, error.message)
        # The message is theirs now, whatever happens to the goodbye.
        with suppress(SMTPException, OSError):
            await client.quit(timeout=2)
        return Answer(response.code, response.message)


def message_of(mail: Mail, *, sender: str, sender_name: str = "") -> EmailMessage:
    """The e-mail as it goes out: plain text, no header made of anything but checked values."""
    local_part, _, domain = sender.rpartition("@")
    message = EmailMessage(policy=SMTP)
    message["From"] = Address(sender_name, local_part, domain)
    message["To"] = Address(addr_spec=mail.recipient)
    message["Subject"] = mail.subject
    message["Date"] = format_datetime(mail.date)
    message["Message-ID"] = f"<notice-{mail.id}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.body, cte="base64" if mail.language is Language.ZH else "quoted-printable")
    message["Content-Language"] = _LANGUAGE_TAGS[mail.language]
    return message


@dataclass
class FakeMailServer:
    """Keeps messages in memory and answers as it is told."""

    messages: list[EmailMessage] = field(default_factory=list)
    sender: str = "notices@mainstay.example"
    _next_answers: list[Answer | None] = field(default_factory=list)
    _refused: dict[str, Answer] = field(default_factory=dict)

    def answer_next(self, answer: str = "451 4.3.0 Try again later", *, times: int = 1) -> None:
        self._next_answers += [_answer(answer)] * times

    def lose_next_answer(self, *, times: int = 1) -> None:
        """Take the next messages without saying so."""
        self._next_answers += [None] * times

    def refuse(self, address: str, answer: str = "550 5.1.1 No such user") -> None:
        self._refused[address.lower()] = _answer(answer)

    async def send(self, mail: Mail) -> Answer:
        if refusal := self._refused.get(mail.recipient.lower()):
            return refusal
        answer = self._next_answers.pop(0) if self._next_answers else _answer("250 2.0.0 OK")
        if answer is None or answer.code == 250:
            self.messages.append(message_of(mail, sender=self.sender))
        return answer or Answer(None, "SMTPServerDisconnected")


def _answer(text: str) -> Answer:
    code, _, reply = text.partition(" ")
    return Answer(int(code), reply)
