"""The mail server and its fake keep one contract."""

from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any, Protocol

import pytest

from services.notify.domain.attempt import Answer
from services.notify.domain.contact import Language
from services.notify.gateways.smtp import FakeMailServer, Mail, MailServer, SmtpServer
from shared.kernel.ids import new_id
from tests.infrastructure.process import free_port
from tests.infrastructure.smtp import SmtpPeer

SENDER = "notices@mainstay.example"


class Peer(Protocol):
    def answer_next(self, answer: str = ..., *, times: int = 1) -> None: ...
    def lose_next_answer(self, *, times: int = 1) -> None: ...
    def refuse(self, address: str, answer: str = ...) -> None: ...


@dataclass
class Case:
    server: MailServer
    peer: Peer

    def received(self) -> list[EmailMessage]:
        peer: Any = self.peer
        return [getattr(mail, "message", mail) for mail in peer.messages]


@pytest.fixture(params=["smtp", "fake"])
def case(request: pytest.FixtureRequest, smtp_peer: SmtpPeer) -> Case:
    if request.param == "smtp":
        return Case(SmtpServer(host=smtp_peer.host, port=smtp_peer.port, sender=SENDER), smtp_peer)
    fake = FakeMailServer(sender=SENDER)
    return Case(fake, fake)


def a_mail(**changes: Any) -> Mail:
    values: dict[str, Any] = {
        "id": new_id(),
        "recipient": "alice@example.com",
        "subject": "您的服务已登记",
        "body": "您好。\n.\n第二行\n",
        "language": Language.ZH,
        "date": datetime(2031, 5, 1, 12, tzinfo=UTC),
    }
    return Mail(**{**values, **changes})


async def test_an_accepted_message_arrives_as_it_was_written(case: Case) -> None:
    mail = a_mail()
    assert await case.server.send(mail) == Answer(250, "2.0.0 OK")
    [message] = case.received()
    assert message["Subject"] == mail.subject
    assert message["To"] == "alice@example.com"
    assert message["Date"] == "Thu, 01 May 2031 12:00:00 +0000"
    assert message["Message-ID"] == f"<notice-{mail.id}@mainstay.example>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content().replace("\r\n", "\n") == mail.body


async def test_a_temporary_answer_is_passed_on(case: Case) -> None:
    case.peer.answer_next("451 4.3.0 Try again later")
    assert await case.server.send(a_mail()) == Answer(451, "4.3.0 Try again later")
    assert case.received() == []


async def test_a_refused_recipient_is_an_answer_and_not_an_error(case: Case) -> None:
    case.peer.refuse("alice@example.com", "550 5.1.1 No such user")
    assert await case.server.send(a_mail()) == Answer(550, "5.1.1 No such user")


async def test_a_lost_answer_has_no_code_although_the_message_arrived(case: Case) -> None:
    case.peer.lose_next_answer()
    assert (await case.server.send(a_mail())).code is None
    assert len(case.received()) == 1


async def test_the_same_mail_sent_twice_has_one_message_id(case: Case) -> None:
    mail = a_mail()
    await case.server.send(mail)
    await case.server.send(mail)
    first, second = case.received()
    assert first["Message-ID"] == second["Message-ID"]


async def test_a_server_that_is_not_there_is_an_answer_without_a_code() -> None:
    answer = await SmtpServer(host="127.0.0.1", port=free_port(), sender=SENDER, timeout=2).send(a_mail())
    assert answer.code is None
    assert "Connect" in answer.reply


async def test_a_server_that_offers_no_tls_gets_nothing_in_clear(smtp_peer: SmtpPeer) -> None:
    server = SmtpServer(host=smtp_peer.host, port=smtp_peer.port, sender=SENDER, security="starttls", timeout=2)
    answer = await server.send(a_mail())
    assert answer.outcome.value == "deferred"
    assert smtp_peer.attempts == 0
