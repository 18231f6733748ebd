"""3.4 Late payment: who does not pay in time is not served, and loss that arises of it is not the company's."""

from datetime import timedelta

import pytest

from shared.events.contracts import RenewalRefused, ServiceExpired, ServiceHeld, ServiceRenewed
from tests.contracts.stories.lifecycle import LifecycleStory as Story
from tests.contracts.story import END, HOUR, problem

MOMENT = timedelta(microseconds=1)
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.mark.parametrize("renewed", [True, False])
async def test_without_a_payment_the_service_expires_on_the_second(lifecycle: Story, renewed: bool) -> None:
    """Given nobody paid, when the end has come, then the service expires at that instant. Clause 3.4."""
    await (lifecycle.renewing() if renewed else lifecycle.active())
    await lifecycle.until(END - timedelta(minutes=1))
    assert await lifecycle.status() == "active"
    await lifecycle.until(END)
    [expired] = await lifecycle.told(ServiceExpired)
    assert (expired.ended_at, expired.reason, expired.retention_days) == (END, "not-renewed", 30)
    assert (await lifecycle.decisions())[-1] == ("service.expire", "expired", "3.4", "2026-1")


async def test_a_payment_reported_at_the_end_is_too_late(lifecycle: Story) -> None:
    """Given an end at noon, when a payment is reported at noon, then it renews nothing. Clause 3.4."""
    await lifecycle.renewing()
    await lifecycle.until(END)
    await lifecycle.pays(2, reported_at=END, audited_at=END + HOUR)
    assert (await lifecycle.status(), await lifecycle.told(ServiceRenewed, ServiceHeld)) == ("expired", [])
    assert (await lifecycle.decisions())[-1] == ("service.renew", "refused", "3.4", "2026-1")


async def test_word_of_a_payment_in_time_brings_the_service_back_without_a_gap(lifecycle: Story) -> None:
    """Given a payment reported in time and heard of late, when it is approved, then no gap is left. 3.3 and 3.4."""
    await lifecycle.renewing()
    await lifecycle.until(END + HOUR)
    assert await lifecycle.status() == "expired"
    await lifecycle.pays(2, reported_at=END - MOMENT, audited_at=END + HOUR)
    [renewed] = await lifecycle.told(ServiceRenewed)
    assert (await lifecycle.status(), renewed.starts_at) == ("active", END)


async def test_it_does_not_when_a_server_is_in_another_contract_by_then(lifecycle: Story) -> None:
    """Given a new contract for the server, when the old payment is approved, then its money is credit. Clause 3.4."""
    await lifecycle.renewing()
    first = lifecycle.contract
    await lifecycle.until(END)
    await lifecycle.drafted()
    lifecycle.contract = first
    payment = await lifecycle.pays(2, reported_at=END - HOUR, audited_at=END + HOUR)
    [refused] = await lifecycle.told(RenewalRefused)
    assert (await lifecycle.status(), refused.payment_id) == ("expired", payment)
    assert (await lifecycle.decisions())[-1] == ("service.renew", "refused", "3.4", "2026-1")


async def test_after_the_expiry_no_work_is_done(lifecycle: Story) -> None:
    """Given an expired service, when work is asked for, then it is refused. Clauses 3.1 and 3.4."""
    await lifecycle.active()
    await lifecycle.until(END)
    body = {"operation_code": "health-check", "server_id": lifecycle.server_ids[0], "channel": "portal"}
    answer = await lifecycle.http.post(f"/v1/contracts/{lifecycle.contract}/work-requests", json=body)
    assert problem(answer) == (409, "NotRegistered", "3.1")


async def test_a_machine_that_slept_through_the_end_ends_it_at_the_end(lifecycle: Story) -> None:
    """Given workers that were away for months, when they look again, then the end is where it was. Clause 3.4."""
    await lifecycle.active()
    await lifecycle.until(END + 200 * 24 * HOUR)
    [expired] = await lifecycle.told(ServiceExpired)
    assert expired.ended_at == END
