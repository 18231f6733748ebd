"""The customer hears of each reveal and each disclosure of a secret, whatever was heard before."""

from __future__ import annotations

from typing import Any

import pytest

from shared.events.contracts import RotationOverdue, SecretDisclosed, SecretRevealed
from shared.kernel.ids import new_id
from tests.infrastructure.smtp import SmtpPeer
from tests.notify.story import END, START, Story, notices_of, put_contact
from tests.support.service import ServiceUnderTest


def facts_of(story: Story) -> list[Any]:
    ids: dict[str, Any] = {
        "customer_id": story.customer_id,
        "contract_id": story.contract_id,
        "agreement_version": "2031-01",
        "period_index": 1,
        "server_id": story.server_id,
        "secret_id": new_id(),
    }
    disclosed = {**ids, "disclosure_id": new_id(), "replace_by": END}
    return [
        SecretRevealed(**ids, work_request_id=new_id(), secret_version=1, revealed_at=START),
        SecretDisclosed(
            **disclosed,
            secret_kind="password",
            responsible="customer",
            clause="5.2",
            disclosed_at=START,
            reported_at=START,
        ),
        RotationOverdue(**disclosed, overdue_at=END),
    ]


@pytest.mark.parametrize("before", [True, False])
async def test_reveals_and_disclosures_are_told_whatever_was_heard_first(
    notify: ServiceUnderTest, smtp_peer: SmtpPeer, before: bool
) -> None:
    story = Story()
    await put_contact(notify, story.customer_id)
    context = [story.registered_customer(), story.accepted()]
    told = [*facts_of(story), *context] if before else [*context, *facts_of(story)]
    for fact in told:
        await notify.tell(fact)
    await notify.run_due()
    notices = await notices_of(notify, story.customer_id, status="delivered")
    assert sorted(notice["kind"] for notice in notices) == ["rotation-overdue", "secret-disclosed", "secret-revealed"]
    assert {notice["clause"] for notice in notices} == {"5.2"}
