"""Clause 6.1: all services have warranty after seven days; both readings are the same two parameters."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from shared.events.contracts import WarrantyClaimed, WorkRequested
from shared.kernel.ids import new_id
from shared.kit.auth import Role
from tests.contracts.stories.refunds import RefundStory, with_parameters
from tests.contracts.stories.test_evidence import read
from tests.contracts.stories.work import WorkStory, under_way
from tests.contracts.story import HOUR, START, problem
from tests.support.service import ServiceUnderTest

DAY = timedelta(days=1)
OPENS_AT = START + 7 * DAY


class WarrantyStory(RefundStory, WorkStory):
    """`done` is the id of work that was completed."""

    done = ""

    async def work_done(self) -> str:
        """A health check of the first server was completed on the first day."""
        await self.active()
        self.done = await under_way(self)
        answer = await self.technician.post(f"/v1/work-requests/{self.done}/complete")
        assert answer.status_code == 200, answer.text
        return self.done

    async def claim(self, **changes: Any) -> httpx.Response:
        body = {"work_request_id": self.done, "note": "It stopped again.", "channel": "portal", **changes}
        return await self.http.post(f"/v1/contracts/{self.contract}/warranty-claims", json=body)

    async def warranty(self) -> dict[str, Any]:
        answer = await self.http.get(f"/v1/contracts/{self.contract}/warranty")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


@pytest.fixture
def story(service: ServiceUnderTest) -> WarrantyStory:
    return WarrantyStory(service)


async def test_the_warranty_starts_seven_days_in_and_lasts_until_the_service_ends(story: WarrantyStory) -> None:
    """Given the agreement as it ships, When less than seven days have passed, Then a claim is refused with the date."""
    await story.work_done()
    await story.service.advance(to=OPENS_AT - HOUR)
    shown = await story.warranty()
    assert (shown["opens_at"], shown["ends_at"], shown["open"]) == ("2030-02-07T12:00:00Z", None, False)
    assert (shown["lasts"], shown["clause"], shown["agreement_version"]) == ("until-the-service-ends", "6.1", "2026-1")
    early = await story.claim()
    assert problem(early) == (409, "WarrantyNotOpen", "6.1")
    assert early.json()["facts"]["opens_at"] == OPENS_AT.isoformat()
    assert early.json()["agreement_version"] == "2026-1"
    await story.service.advance(to=OPENS_AT)
    assert (await story.warranty())["open"]
    assert (await story.claim()).status_code == 201


async def test_a_warranty_that_lasts_seven_days_is_the_same_two_parameters(
    story: WarrantyStory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given the other reading, When seven days have passed, Then a claim is refused naming the date it ended."""
    with_parameters(monkeypatch, warranty_starts_after_days=0, warranty_lasts=7)
    await story.work_done()
    shown = await story.warranty()
    assert (shown["opens_at"], shown["ends_at"]) == ("2030-01-31T12:00:00Z", "2030-02-07T12:00:00Z")
    assert (shown["lasts"], shown["open"]) == (7, True)
    await story.service.advance(to=OPENS_AT - HOUR)
    assert (await story.claim()).status_code == 201
    await story.service.advance(to=OPENS_AT)
    late = await story.claim()
    assert problem(late) == (409, "WarrantyOver", "6.1")
    assert late.json()["facts"]["ended_at"] == OPENS_AT.isoformat()


async def test_a_claim_opens_a_free_work_order_for_the_same_operation_on_the_same_server(story: WarrantyStory) -> None:
    """Given work that was done, When the warranty is claimed for it, Then the same work follows, of that origin."""
    await story.work_done()
    await story.service.advance(to=OPENS_AT)
    claim = (await story.claim()).json()
    assert claim["claimed_work_request_id"] == story.done
    again = (await story.http.get(f"/v1/work-requests/{claim['work_request_id']}")).json()
    assert (again["origin"], again["status"], again["operation_code"]) == ("warranty", "requested", "health-check")
    assert again["server_id"] == story.server_ids[0]
    assert await story.decisions(claim["id"]) == [("warranty.claim", "granted", "6.1", "2026-1")]
    assert await story.decisions(claim["work_request_id"]) == [("work-request.request", "accepted", "6.1", "2026-1")]
    [told] = await story.told(WarrantyClaimed)
    assert (str(told.claim_id), str(told.work_request_id)) == (claim["id"], claim["work_request_id"])
    assert "again" not in told.model_dump_json()
    assert (await story.http.get(f"/v1/warranty-claims/{claim['id']}")).json() == claim


async def test_by_server_and_operation_the_newest_work_of_that_kind_is_meant(story: WarrantyStory) -> None:
    await story.work_done()
    await story.service.advance(to=OPENS_AT)
    by_kind = {"work_request_id": None, "server_id": story.server_ids[0]}
    never_done = await story.claim(**by_kind, operation_code="kernel-upgrade")
    assert problem(never_done) == (409, "NothingUnderWarranty", "6.1")
    answer = await story.claim(**by_kind, operation_code="health-check")
    assert answer.json()["claimed_work_request_id"] == story.done


async def test_work_that_was_not_done_is_not_under_warranty(story: WarrantyStory) -> None:
    await story.active()
    await story.service.advance(to=OPENS_AT)
    story.done = await story.asked("health-check")
    assert problem(await story.claim()) == (409, "NothingUnderWarranty", "6.1")


async def test_of_twenty_claims_at_once_one_opens_a_work_order(story: WarrantyStory) -> None:
    """And another may follow only once that one is done or withdrawn."""
    await story.work_done()
    await story.service.advance(to=OPENS_AT)
    answers = await asyncio.gather(*(story.claim() for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 19
    assert {problem(answer) for answer in answers if answer.status_code == 409} == {(409, "AlreadyClaimed", "6.1")}
    assert len(await story.told(WarrantyClaimed)) == 1
    assert len(await story.told(WorkRequested)) == 2
    [opened] = [answer.json()["work_request_id"] for answer in answers if answer.status_code == 201]
    withdrawn = await story.http.post(f"/v1/work-requests/{opened}/withdraw", json={"channel": "portal"})
    assert withdrawn.status_code == 200
    assert (await story.claim()).status_code == 201


async def test_the_warranty_ends_with_the_service(story: WarrantyStory) -> None:
    """Given a service that was refunded, When the warranty is claimed, Then it is refused naming the end."""
    await story.work_done()
    await story.service.advance(to=OPENS_AT + DAY)
    await story.asked_back()
    await story.finance_releases(at=OPENS_AT + DAY)
    late = await story.claim()
    assert problem(late) == (409, "WarrantyOver", "6.1")
    assert late.json()["facts"]["ended_at"] == (OPENS_AT + DAY).isoformat()
    assert (await story.warranty())["open"] is False


async def test_seven_days_are_days_of_the_calendar_in_the_contracts_zone(story: WarrantyStory) -> None:
    """Given a change to summer time within them, Then they are never less than 168 hours."""
    await story.accepted()
    begins = datetime(2030, 3, 28, 11, tzinfo=UTC)  # 12:00 in Berlin; the clocks change on the 31st
    await story.service.advance(to=begins)
    await story.pays(1, reported_at=begins - HOUR, audited_at=begins)
    assert (await story.warranty())["opens_at"] == "2030-04-04T11:00:00Z"


async def test_before_registration_there_is_no_warranty(story: WarrantyStory) -> None:
    await story.accepted()
    shown = await story.http.get(f"/v1/contracts/{story.contract}/warranty")
    assert problem(shown) == (409, "NotRegistered", "3.1")
    assert problem(await story.claim(work_request_id=str(new_id()))) == (409, "NotRegistered", "3.1")


async def test_it_is_claimed_in_writing_and_for_ones_own_work(story: WarrantyStory) -> None:
    await story.work_done()
    await story.service.advance(to=OPENS_AT)
    assert problem(await story.claim(channel="telephone")) == (422, "OralRequest", "3.1")
    assert problem(await story.claim(work_request_id=str(new_id()))) == (404, "NoSuchWorkRequest", None)
    for wrong in ({"work_request_id": None}, {"server_id": story.server_ids[0]}, {"operation_code": "health-check"}):
        assert (await story.claim(**wrong)).status_code == 422
    other = story.service.as_role(Role.CUSTOMER, customer_id=new_id())
    body = {"work_request_id": story.done, "channel": "portal"}
    answer = await other.post(f"/v1/contracts/{story.contract}/warranty-claims", json=body)
    assert problem(answer) == (404, "NoSuchContract", None)
    assert (await other.get("/v1/warranty-claims")).json()["items"] == []


async def test_claims_and_refunds_are_in_the_evidence_with_their_decisions(story: WarrantyStory) -> None:
    await story.work_done()
    await story.service.advance(to=OPENS_AT)
    claim = (await story.claim()).json()
    await story.asked_back()
    content = (await story.http.get(f"/v1/contracts/{story.contract}/evidence")).content
    assert [row["id"] for row in read(content, "warranty.json")] == [claim["id"]]
    assert [row["status"] for row in read(content, "refunds.json")] == ["requested"]
    kinds = {row["kind"] for row in read(content, "decisions.json")}
    assert {"warranty.claim", "refund.request"} <= kinds
    assert {"warranty-claimed", "refund-requested"} <= {row["what"] for row in read(content, "timeline.json")}
    assert b"It stopped again." not in content
