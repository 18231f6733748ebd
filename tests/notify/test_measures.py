"""Notices that nobody can prove yet."""

from __future__ import annotations

from datetime import timedelta

from services.notify.use_cases import measures
from tests.infrastructure.smtp import SmtpPeer
from tests.notify.story import ADDRESS, Story, put_contact
from tests.support.measures import measured
from tests.support.service import ServiceUnderTest

NUMBER, AGE = "mainstay_legal_notices_without_proof", "mainstay_legal_notices_oldest_without_proof_seconds"


async def unproven(notify: ServiceUnderTest) -> dict[str, float]:
    """How many by status, of those there are."""
    found = await measured(notify, measures.measure)
    return {
        name.removeprefix(NUMBER)[1:-1]: value for name, value in found.items() if name.startswith(NUMBER) and value
    }


async def test_a_notice_is_without_proof_until_a_mail_server_has_taken_it(
    notify: ServiceUnderTest, smtp_peer: SmtpPeer
) -> None:
    story = Story()
    for fact in (story.registered_customer(), story.accepted(), story.expiring()):
        await notify.tell(fact)
    assert await unproven(notify) == {"waiting_for_contact": 1}
    await notify.advance(by=timedelta(hours=2))
    assert 7200 <= (await measured(notify, measures.measure))[f"{AGE}{{waiting_for_contact}}"] < 7260
    await put_contact(notify, story.customer_id)
    assert await unproven(notify) == {"pending": 1}
    await notify.run_due()
    assert await unproven(notify) == {}


async def test_a_refused_notice_is_shown_for_as_long_as_trying_again_may_help(
    notify: ServiceUnderTest, smtp_peer: SmtpPeer
) -> None:
    story = Story()
    await put_contact(notify, story.customer_id)
    smtp_peer.refuse(ADDRESS)
    for fact in (story.registered_customer(), story.accepted(), story.expiring()):
        await notify.tell(fact)
    await notify.run_due()
    assert await unproven(notify) == {"undeliverable": 1}
    await notify.advance(by=measures.STILL_MATTERS_FOR + timedelta(hours=1))
    assert await unproven(notify) == {}
