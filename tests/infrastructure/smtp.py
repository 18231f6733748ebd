"""A real SMTP server for tests: it keeps the messages it accepts and answers as it is told."""

import email
import email.policy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller

from tests.infrastructure.process import free_port
from tests.infrastructure.waiting import eventually

ACCEPTED = "250 2.0.0 OK"
TRY_LATER = "451 4.3.0 Try again later"
NO_SUCH_USER = "550 5.1.1 No such user"


@dataclass(frozen=True)
class ReceivedMail:
    """One accepted message and the envelope it came in."""

    sender: str
    recipients: tuple[str, ...]
    message: EmailMessage


@dataclass
class SmtpPeer:
    """Accepts everything until told otherwise; `attempts` counts the messages offered, refused ones included."""

    host: str
    port: int
    messages: list[ReceivedMail] = field(default_factory=list)
    attempts: int = 0
    _next_answers: list[str | None] = field(default_factory=list)
    _refused: dict[str, str] = field(default_factory=dict)

    def answer_next(self, answer: str = TRY_LATER, *, times: int = 1) -> None:
        """Answer the next `times` messages so instead of accepting them."""
        self._next_answers += [answer] * times

    def lose_next_answer(self, *, times: int = 1) -> None:
        """Accept the next `times` messages and break the connection instead of saying so."""
        self._next_answers += [None] * times

    def refuse(self, address: str, answer: str = NO_SUCH_USER) -> None:
        """Answer so whenever this recipient is named."""
        self._refused[address.lower()] = answer

    def messages_to(self, address: str) -> list[ReceivedMail]:
        return [mail for mail in self.messages if address in mail.recipients]

    async def wait_for(
        self, predicate: Callable[[ReceivedMail], bool] = lambda _: True, timeout: float = 10.0
    ) -> ReceivedMail:
        """The first message, come or coming, that fits; TimeoutError after `timeout` seconds."""

        async def first() -> ReceivedMail | None:
            return next(filter(predicate, list(self.messages)), None)

        found = await eventually(first, timeout=timeout, what="the awaited mail")
        assert found is not None
        return found

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        if refusal := self._refused.get(address.lower()):
            return refusal
        envelope.rcpt_tos.append(address)
        return ACCEPTED

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.attempts += 1
        answer = self._next_answers.pop(0) if self._next_answers else ACCEPTED
        if answer is None or answer.startswith("2"):
            message = email.message_from_bytes(envelope.original_content, policy=email.policy.default)
            self.messages.append(ReceivedMail(envelope.mail_from, tuple(envelope.rcpt_tos), message))
        if answer is None:
            server.transport.abort()
        return answer or ACCEPTED


@contextmanager
def running_smtp_peer() -> Iterator[SmtpPeer]:
    """A peer that listens on 127.0.0.1, in a thread of its own."""
    peer = SmtpPeer("127.0.0.1", free_port())
    controller = Controller(peer, hostname=peer.host, port=peer.port)
    controller.start()
    try:
        yield peer
    finally:
        controller.stop()
