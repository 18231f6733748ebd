"""Work is asked for in writing out of the catalogue, and done, refused or taken back once."""

import asyncio
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from services.contracts.db.tables import work_requests
from shared.events.contracts import WorkCompleted, WorkRefused, WorkRequested, WorkRequestFact, WorkWithdrawn
from tests.contracts.story import END, Story, problem

REASON = {"reason": "The last backup is too old."}


async def ask(story: Story, **changes: Any) -> httpx.Response:
    body = {"operation_code": "kernel-upgrade", "server_id": story.server_ids[0], "channel": "portal", **changes}
    return await story.http.post(f"/v1/contracts/{story.contract}/work-requests", json=body)


async def asked(story: Story, **changes: Any) -> str:
    answer = await ask(story, **changes)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def test_an_operation_of_the_plan_is_asked_for_with_its_risk(story: Story) -> None:
    await story.active()
    answer = await ask(story, note="Please at night.\nThank you.")
    assert (answer.json()["status"], answer.json()["risk"]) == ("requested", "high")
    [fact] = await story.told(WorkRequested)
    assert (fact.operation_code, fact.agreement_version) == ("kernel-upgrade", "2026-1")
    assert "night" not in str([envelope.data for envelope in await story.service.envelopes()])
    decided = await story.decisions(answer.json()["id"])
    assert decided == [("work-request.request", "accepted", "3.1", "2026-1")]


async def test_high_risk_work_may_be_refused_with_a_reason_and_that_is_final(story: Story) -> None:
    await story.active()
    work = await asked(story)
    answer = await story.technician.post(f"/v1/work-requests/{work}/refuse", json=REASON)
    assert (answer.json()["status"], answer.json()["reason"]) == ("refused", REASON["reason"])
    assert len(await story.told(WorkRefused)) == 1
    assert (await story.decisions(work))[-1] == ("work-request.refuse", "refused", "1.1", "2026-1")
    for verb, body in (("complete", {}), ("refuse", REASON)):
        answer = await story.technician.post(f"/v1/work-requests/{work}/{verb}", json=body)
        assert problem(answer) == (409, "IllegalMove", None)


async def test_work_below_the_threshold_is_not_refused(story: Story) -> None:
    await story.active()
    work = await asked(story, operation_code="security-update")
    answer = await story.technician.post(f"/v1/work-requests/{work}/refuse", json=REASON)
    assert problem(answer) == (409, "NothingToRefuse", "1.1")
    assert answer.json()["agreement_version"] == "2026-1"
    shown = (await story.http.get(f"/v1/work-requests/{work}")).json()
    assert (shown["status"], shown["reason"]) == ("requested", None)


async def test_completing_and_withdrawing_at_once_has_one_winner(story: Story) -> None:
    await story.active()
    work = await asked(story)
    answers = await asyncio.gather(
        story.technician.post(f"/v1/work-requests/{work}/complete"),
        story.http.post(f"/v1/work-requests/{work}/withdraw", json={"channel": "portal"}),
        story.technician.post(f"/v1/work-requests/{work}/refuse", json=REASON),
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409]
    assert len(await story.told(WorkCompleted, WorkRefused, WorkWithdrawn)) == 1


@pytest.mark.parametrize("code", ["make-coffee", "disk-repartition"])
async def test_what_the_plan_does_not_include_is_refused(story: Story, code: str) -> None:
    await story.active(plan_code="essential-monthly-eur")
    answer = await ask(story, operation_code=code)
    assert problem(answer) == (422, "OutsideCatalogue", "3.1")
    assert answer.json()["agreement_version"] == "2026-1"
    assert await story.service.scalar(sa.select(sa.func.count()).select_from(work_requests)) == 0


async def test_no_work_is_asked_for_before_registration_or_after_the_end(story: Story) -> None:
    await story.accepted()
    assert problem(await ask(story)) == (409, "NotRegistered", "3.1")
    await story.pays(1, reported_at=await story.service.now(), audited_at=await story.service.now())
    assert (await ask(story)).status_code == 201
    await story.service.advance(to=END)
    answer = await ask(story)
    assert problem(answer) == (409, "NotRegistered", "3.1")
    assert answer.json()["facts"]["state"] == "expired"


async def test_work_is_for_a_server_of_the_contract_and_in_writing(story: Story) -> None:
    await story.active()
    other = await story.server()
    assert problem(await ask(story, server_id=other)) == (409, "ServerOutsideContract", "3.1")
    assert problem(await ask(story, channel="phone")) == (422, "OralRequest", "3.1")
    assert await story.told(WorkRequestFact) == []


async def test_another_customers_work_is_not_found(story: Story) -> None:
    await story.active()
    work = await asked(story)
    stranger = Story(story.service)
    await stranger.registered_customer()
    stranger.contract, stranger.server_ids = story.contract, story.server_ids
    assert problem(await ask(stranger)) == (404, "NoSuchContract", None)
    assert problem(await stranger.http.get(f"/v1/work-requests/{work}")) == (404, "NoSuchWorkRequest", None)
    answer = await stranger.http.post(f"/v1/work-requests/{work}/withdraw", json={"channel": "portal"})
    assert problem(answer) == (404, "NoSuchWorkRequest", None)
    assert (await stranger.http.get("/v1/work-requests")).json()["items"] == []
    listed = (await story.http.get("/v1/work-requests", params={"contract_id": story.contract})).json()["items"]
    assert [item["id"] for item in listed] == [work]


async def test_only_a_technician_completes_or_refuses(story: Story) -> None:
    await story.active()
    work = await asked(story)
    for client in (story.http, story.support):
        for verb in ("complete", "refuse"):
            answer = await client.post(f"/v1/work-requests/{work}/{verb}", json=REASON)
            assert problem(answer) == (403, "Forbidden", None)
