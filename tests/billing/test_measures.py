"""How long those who paid have waited for finance."""

from __future__ import annotations

from datetime import timedelta

from services.billing.use_cases import measures
from tests.billing.story import Story
from tests.support.measures import measured

AGE, LENGTH = "mainstay_audit_queue_age_seconds", "mainstay_audit_queue_payments"


async def test_the_audit_queue_is_as_old_as_its_oldest_payment_until_somebody_decides(story: Story) -> None:
    assert await measured(story.service, measures.measure) == {AGE: 0.0, LENGTH: 0}
    first = await story.reported(await story.issued(), bank_reference="one")
    await story.service.advance(by=timedelta(hours=3))
    second = await story.reported(await story.issued(), bank_reference="two")
    queue = await measured(story.service, measures.measure)
    assert queue[LENGTH] == 2
    assert 3 * 3600 <= queue[AGE] < 3 * 3600 + 60
    await story.approve(first)
    queue = await measured(story.service, measures.measure)
    assert queue[LENGTH] == 1
    assert 0 <= queue[AGE] < 60
    await story.reject(second)
    assert await measured(story.service, measures.measure) == {AGE: 0.0, LENGTH: 0}
