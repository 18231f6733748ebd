"""From facts to e-mails that a real mail server took, and the proof of it."""

import itertools
import random
from typing import Any

import pytest

from services.notify.use_cases import sending
from shared.events.contracts import ZoneChanged
from shared.events.notify import NoticeDelivered, NoticeUndeliverable
from shared.kit.auth import Role
from tests.infrastructure.smtp import SmtpPeer
from tests.notify.story import ADDRESS, START, Story, notices_of, put_contact, run_retries, with_attempts
from tests.support.service import ServiceUnderTest


async def tell_invoice(notify: ServiceUnderTest, story: Story) -> None:
    for fact in (story.registered_customer(), story.accepted(), story.invoiced()):
        await notify.tell(fact)
    await notify.run_due()


async def test_an_invoice_reaches_the_customer_in_english(notify: ServiceUnderTest, smtp_peer: SmtpPeer) -> None:
    story = Story()
    await put_contact(notify, story.customer_id)
    await tell_invoice(notify, story)
    [mail] = smtp_peer.messages_to(ADDRESS)
    assert mail.message["Subject"] == "Invoice 2031-000017: €1,190.00"
    body = mail.message.get_content()
    assert "Tax: €190.00" in body
    assert "30 April 2031, 12:00:00 (Asia/Shanghai, GMT+08:00)" in body
    assert "clause 3.1 of the service agreement, version 2031-01" in body
    assert "Mailing" not in body


async def test_who_moved_reads_of_an_invoice_in_the_new_zone(notify: ServiceUnderTest, smtp_peer: SmtpPeer) -> None:
    story = Story()
    await put_contact(notify, story.customer_id)
    await notify.tell(story.registered_customer())
    await notify.tell(ZoneChanged(customer_id=story.customer_id, zone="Europe/Berlin", changed_at=START))
    for fact in (story.accepted(), story.invoiced()):
        await notify.tell(fact)
    await notify.run_due()
    [mail] = smtp_peer.messages_to(ADDRESS)
    assert "30 April 2031, 06:00:00 (Europe/Berlin, GMT+02:00)" in mail.message.get_content()


async def test_an_expiry_warning_reaches_the_customer_in_chinese(notify: ServiceUnderTest, smtp_peer: SmtpPeer) -> None:
    story = Story()
    await put_contact(notify, story.customer_id, language="zh")
    await notify.tell(story.expiring())
    await notify.run_due()
    [mail] = smtp_peer.messages_to(ADDRESS)
    assert mail.message["Subject"] == "您的服务将于 2031年6月1日 12:00:00（Asia/Shanghai，GMT+08:00） 到期"
    assert mail.message["Content-Language"] == "zh-Hans"
    body = mail.message.get_content()
    assert "2031年5月29日 12:00:00" in body
    assert "（2031-01 版）第 3.3 条" in body


async def test_a_delivered_notice_keeps_the_servers_answer_as_proof(notify: ServiceUnderTest) -> None:
    story = Story()
    await put_contact(notify, story.customer_id)
    await tell_invoice(notify, story)
    [notice] = await notices_of(notify, story.customer_id, subject_id=str(story.invoice_id))
    assert (notice["status"], notice["clause"], notice["agreement_version"]) == ("delivered", "3.1", "2031-01")
    [attempt] = (await with_attempts(notify, notice["id"]))["attempts"]
    assert (attempt["outcome"], attempt["smtp_code"], attempt["reply"]) == ("accepted", 250, "2.0.0 OK")
    [told] = [fact for fact in await notify.announced() if isinstance(fact, NoticeDelivered)]
    assert (told.smtp_code, told.reply_sha256, told.language) == (250, attempt["reply_sha256"], "en")
    decided = (await notify.as_role(Role.SUPPORT).get("/v1/decisions")).json()["items"]
    assert [(item["verdict"], item["clause"]) for item in decided] == [("delivered", "3.1")]


async def test_a_notice_waits_for_the_contact(notify: ServiceUnderTest, smtp_peer: SmtpPeer) -> None:
    story = Story()
    await tell_invoice(notify, story)
    assert [notice["status"] for notice in await notices_of(notify, story.customer_id)] == ["waiting_for_contact"]
    assert smtp_peer.attempts == 0
    await put_contact(notify, story.customer_id)
    await notify.run_due()
    assert [notice["status"] for notice in await notices_of(notify, story.customer_id)] == ["delivered"]


async def test_an_event_told_twice_asks_for_one_notice(notify: ServiceUnderTest, smtp_peer: SmtpPeer) -> None:
    story = Story()
    await put_contact(notify, story.customer_id)
    envelope = await notify.tell(story.expiring())
    async with notify.runtime.database.transaction() as tx:
        for handle in notify.handlers.handlers_of(envelope):
            await handle(tx, envelope)
    await notify.run_due()
    assert len(smtp_peer.messages) == 1


ALL = range(12)
ORDERS = [list(ALL), list(reversed(ALL))] + [random.Random(seed).sample(ALL, len(ALL)) for seed in range(4)]


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: "".join(map(str, order)))
async def test_whatever_the_order_of_the_facts_every_notice_is_sent_once(
    notify: ServiceUnderTest, smtp_peer: SmtpPeer, order: list[int]
) -> None:
    story = Story()
    facts = story.all_facts()
    contact_at = order[0]
    for step, index in enumerate(order):
        if step == contact_at:
            await put_contact(notify, story.customer_id)
        await notify.tell(facts[index])
    await notify.run_due()
    kinds = sorted(notice["kind"] for notice in await notices_of(notify, story.customer_id, status="delivered"))
    assert kinds == [
        "appeal-decided",
        "conditions-unmet",
        "incident-decided",
        "invoice-issued",
        "payment-approved",
        "service-expired",
        "service-expiring",
        "service-held",
        "service-registered",
        "service-renewed",
    ]
    assert len(smtp_peer.messages) == 10


async def test_each_step_of_an_extension_is_told(notify: ServiceUnderTest, smtp_peer: SmtpPeer) -> None:
    story = Story()
    await put_contact(notify, story.customer_id)
    for fact in (*story.extension_facts(), story.registered()):
        await notify.tell(fact)
    await notify.run_due()
    found = [(notice["kind"], notice["clause"]) for notice in await notices_of(notify, story.customer_id)]
    assert found == [
        ("extension-requested", "3.5"),
        ("extension-refused", "3.5"),
        ("extension-requested", "3.5"),
        ("service-extended", "3.5"),
        ("service-registered", "3.2"),
    ]
    assert len(smtp_peer.messages) == 5


async def test_what_becomes_of_work_is_told_by_the_agreement_that_rules_it(
    notify: ServiceUnderTest, smtp_peer: SmtpPeer
) -> None:
    story = Story()
    await put_contact(notify, story.customer_id)
    for fact in (*story.work_facts(), story.registered_customer()):
        await notify.tell(fact)
    await notify.run_due()
    found = [
        (notice["kind"], notice["clause"], notice["agreement_version"])
        for notice in await notices_of(notify, story.customer_id)
    ]
    assert found == [
        ("work-scheduled", "1.2", "2031-01"),
        ("work-scheduled", "1.2", "2031-01"),
        ("work-completed", "1.2", "2031-01"),
        ("work-failed", "3.1", "2031-01"),
        ("work-refused", "1.1", "2031-01"),
    ]
    subjects = [mail.message["Subject"] for mail in smtp_peer.messages]
    assert subjects.count("Work on your server is moved") == subjects.count("Work on your server is planned") == 1


async def test_what_became_of_a_refund_is_told_with_the_number_of_its_credit_note(
    notify: ServiceUnderTest, smtp_peer: SmtpPeer
) -> None:
    story = Story()
    await put_contact(notify, story.customer_id)
    for fact in (*story.refund_facts(), story.registered(), story.invoiced()):
        await notify.tell(fact)
    await notify.run_due()
    found = {notice["kind"]: notice["clause"] for notice in await notices_of(notify, story.customer_id)}
    refunds = {kind: clause for kind, clause in found.items() if "refund" in kind}
    assert refunds == {"refund-declined": "6.2", "refund-released": "6.2", "service-refunded": "6.2"}
    subjects = [str(received.message["subject"]) for received in smtp_peer.messages]
    assert "Refund of €1,190.00: credit note MC-2031-000003" in subjects


async def test_three_facts_that_word_a_payment_notice_may_come_in_any_order(
    notify: ServiceUnderTest, smtp_peer: SmtpPeer
) -> None:
    for order in itertools.permutations(range(4)):
        story = Story()
        await put_contact(notify, story.customer_id)
        facts = [story.registered_customer(), story.accepted(), story.invoiced(), story.audited()]
        for index in order:
            await notify.tell(facts[index])
        found = await notices_of(notify, story.customer_id)
        assert [notice["status"] for notice in found] == ["pending", "pending"], order


async def test_a_rejected_payment_is_told_as_such(notify: ServiceUnderTest, smtp_peer: SmtpPeer) -> None:
    story = Story()
    await put_contact(notify, story.customer_id, language="zh")
    for fact in (story.registered(), story.invoiced(), story.audited(verdict="rejected", invoice_covered=False)):
        await notify.tell(fact)
    await notify.run_due()
    mail = await smtp_peer.wait_for(lambda mail: "审核未通过" in mail.message["Subject"])
    assert "第 3.2 条" in mail.message.get_content()


async def test_a_server_that_puts_us_off_is_tried_again(notify: ServiceUnderTest, smtp_peer: SmtpPeer) -> None:
    story = Story()
    smtp_peer.answer_next("451 4.3.0 Try again later")
    await put_contact(notify, story.customer_id)
    await tell_invoice(notify, story)
    [notice] = await notices_of(notify, story.customer_id)
    assert notice["status"] == "pending"
    await run_retries(notify)
    found = await with_attempts(notify, notice["id"])
    assert found["status"] == "delivered"
    assert [(attempt["outcome"], attempt["smtp_code"]) for attempt in found["attempts"]] == [
        ("deferred", 451),
        ("accepted", 250),
    ]


async def test_a_server_that_refuses_ends_the_notice_until_support_retries_it(
    notify: ServiceUnderTest, smtp_peer: SmtpPeer
) -> None:
    story = Story()
    smtp_peer.refuse(ADDRESS, f"550 5.1.1 <{ADDRESS}> unknown")
    await put_contact(notify, story.customer_id)
    await tell_invoice(notify, story)
    [notice] = await notices_of(notify, story.customer_id)
    assert (notice["status"], notice["failure"]) == ("undeliverable", "refused")
    [told] = [fact for fact in await notify.announced() if isinstance(fact, NoticeUndeliverable)]
    assert told.reason == "refused"
    seen_by_support = (await with_attempts(notify, notice["id"]))["attempts"][0]
    assert seen_by_support["recipient"] == "a***@customer.example"
    assert ADDRESS not in seen_by_support["reply"]

    await put_contact(notify, story.customer_id, email="bob@customer.example")
    answer = await notify.as_role(Role.SUPPORT).post(f"/v1/notices/{notice['id']}/retry")
    assert answer.json()["status"] == "pending"
    await notify.run_due()
    assert len(smtp_peer.messages_to("bob@customer.example")) == 1
    again = await notify.as_role(Role.SUPPORT).post(f"/v1/notices/{notice['id']}/retry")
    assert (again.status_code, again.json()["code"]) == (409, "IllegalMove")


async def test_tries_that_are_used_up_end_the_notice(
    notify: ServiceUnderTest, smtp_peer: SmtpPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.notify.domain.notice.delay_after", lambda tries: None)
    story = Story()
    smtp_peer.answer_next("451 4.3.0 Try again later")
    await put_contact(notify, story.customer_id)
    await tell_invoice(notify, story)
    [notice] = await notices_of(notify, story.customer_id)
    assert (notice["status"], notice["failure"]) == ("undeliverable", "expired")
    [told] = [fact for fact in await notify.announced() if isinstance(fact, NoticeUndeliverable)]
    assert told.reason == "expired"


async def test_a_repeat_after_a_crash_has_the_same_message_id(
    notify: ServiceUnderTest, smtp_peer: SmtpPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    conclude = sending._conclude

    async def die(*_arguments: Any) -> None:
        raise RuntimeError("the process died")

    story = Story()
    await put_contact(notify, story.customer_id)
    monkeypatch.setattr(sending, "_conclude", die)
    await tell_invoice(notify, story)
    monkeypatch.setattr(sending, "_conclude", conclude)
    await run_retries(notify)
    first, second = smtp_peer.messages
    assert first.message["Message-ID"] == second.message["Message-ID"]
    [notice] = await notices_of(notify, story.customer_id)
    attempts = (await with_attempts(notify, notice["id"]))["attempts"]
    assert [attempt["outcome"] for attempt in attempts] == ["started", "accepted"]


async def test_an_answer_that_was_lost_is_asked_for_again_under_the_same_message_id(
    notify: ServiceUnderTest, smtp_peer: SmtpPeer
) -> None:
    story = Story()
    smtp_peer.lose_next_answer()
    await put_contact(notify, story.customer_id)
    await tell_invoice(notify, story)
    await run_retries(notify)
    first, second = smtp_peer.messages
    assert first.message["Message-ID"] == second.message["Message-ID"]


async def test_another_customers_notice_is_not_found(notify: ServiceUnderTest) -> None:
    story, stranger = Story(), Story()
    await put_contact(notify, story.customer_id)
    await tell_invoice(notify, story)
    [notice] = await notices_of(notify, story.customer_id)
    assert await notices_of(notify, stranger.customer_id) == []
    answer = await notify.as_role(Role.CUSTOMER, customer_id=stranger.customer_id).get(f"/v1/notices/{notice['id']}")
    assert (answer.status_code, answer.json()["code"]) == (404, "NoSuchNotice")


async def test_the_customer_sees_its_own_address_in_full(notify: ServiceUnderTest) -> None:
    story = Story()
    await put_contact(notify, story.customer_id)
    await tell_invoice(notify, story)
    [notice] = await notices_of(notify, story.customer_id)
    own = await notify.as_role(Role.CUSTOMER, customer_id=story.customer_id).get(f"/v1/notices/{notice['id']}")
    assert own.json()["attempts"][0]["recipient"] == ADDRESS
