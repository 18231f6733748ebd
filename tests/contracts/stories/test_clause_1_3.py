"""1.3 Emergencies: technical support is reached day and night, and the call is passed on until it is heard."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from services.contracts.use_cases import measures
from shared.events.contracts import (
    EmergencyAcknowledged,
    EmergencyEscalated,
    EmergencyReported,
    EmergencyResolved,
    EmergencyWithdrawn,
)
from shared.kernel.ids import new_id
from shared.kit.auth import Role
from tests.contracts.stories.lifecycle import LifecycleStory
from tests.contracts.stories.refunds import with_parameters
from tests.contracts.stories.test_evidence import read
from tests.contracts.story import END, HOUR, START, problem
from tests.support.measures import measured
from tests.support.service import ServiceUnderTest

MINUTE = timedelta(minutes=1)
SEEN = "The shop is down and the disk makes noises."


class EmergencyStory(LifecycleStory):
    """`emergency` is the one of the story once it is `called`."""

    emergency = ""

    async def calls(self, **changes: Any) -> httpx.Response:
        body = {"server_id": self.server_ids[0], "seen": SEEN, "channel": "portal", **changes}
        answer = await self.http.post(f"/v1/contracts/{self.contract}/emergencies", json=body)
        if answer.is_success:
            self.emergency = answer.json()["id"]
        return answer

    async def called(self) -> dict[str, Any]:
        answer = await self.calls()
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def tells(self, verb: str, body: dict[str, Any] | None = None, *, by: str = "eve") -> httpx.Response:
        technician = self.service.as_role(Role.TECHNICIAN, subject=by)
        return await technician.post(f"/v1/emergencies/{self.emergency}/{verb}", json=body)

    async def seen(self) -> dict[str, Any]:
        answer = await self.http.get(f"/v1/emergencies/{self.emergency}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def of_it(self) -> list[tuple[str, str, str]]:
        answer = await self.http.get("/v1/decisions", params={"subject_id": self.emergency})
        return [(each["kind"], each["verdict"], each["clause"]) for each in answer.json()["items"]]

    async def waits_for(self, **time: float) -> None:
        await self.service.advance(by=timedelta(**time))


@pytest.fixture
def story(service: ServiceUnderTest) -> EmergencyStory:
    return EmergencyStory(service)


async def test_support_is_called_at_night_and_takes_it_on(story: EmergencyStory) -> None:
    """Given a served server, when its customer calls at night and support answers, then the minutes were kept. 1.3."""
    await story.active()
    await story.until(datetime(2030, 2, 3, 2, tzinfo=START.tzinfo))
    reported = await story.called()
    assert (reported["status"], reported["acknowledged_by"]) == ("open", None)
    [told] = await story.told(EmergencyReported)
    assert told.acknowledge_by - told.reported_at == 15 * MINUTE
    assert SEEN not in told.model_dump_json()
    await story.waits_for(minutes=9)
    assert (await story.tells("acknowledge")).status_code == 200
    assert (await story.seen())["acknowledged_by"] == "eve"
    [told] = await story.told(EmergencyAcknowledged)
    assert told.in_time is True
    await story.waits_for(hours=1)
    assert await story.told(EmergencyEscalated) == []
    assert await story.of_it() == [("emergency.report", "taken", "1.3"), ("emergency.acknowledge", "in-time", "1.3")]


async def test_nobody_answers_so_the_call_is_passed_on_until_somebody_does(story: EmergencyStory) -> None:
    """Given a call that nobody hears, then it is passed on every 10 minutes, and who answers at last is late. 1.3."""
    await story.active()
    await story.called()
    for _ in range(3):
        await story.waits_for(minutes=10)
    passed_on = await story.told(EmergencyEscalated)
    assert [told.escalation for told in passed_on] == [1, 2, 3]
    waited = (await measured(story.service, measures.measure))["mainstay_emergency_unacknowledged_seconds"]
    assert 15 * 60 <= waited < 16 * 60
    assert (await story.tells("acknowledge")).status_code == 200
    assert (await measured(story.service, measures.measure))["mainstay_emergency_unacknowledged_seconds"] == 0
    kinds = await story.of_it()
    assert kinds[1:4] == [("emergency.escalate", "passed-on", "1.3")] * 3
    assert kinds[4] == ("emergency.acknowledge", "late", "1.3")
    await story.waits_for(hours=1)
    assert len(await story.told(EmergencyEscalated)) == 3


async def test_a_worker_that_was_away_passes_the_call_on_once(story: EmergencyStory) -> None:
    """Given timers that stood still for two hours, then the call is passed on now, and again in ten minutes. 1.3."""
    await story.active()
    await story.called()
    await story.waits_for(hours=2)
    assert len(await story.told(EmergencyEscalated)) == 1
    await story.waits_for(minutes=10)
    assert len(await story.told(EmergencyEscalated)) == 2


async def test_the_minutes_are_those_of_the_accepted_agreement(
    story: EmergencyStory, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_parameters(monkeypatch, acknowledge_within_minutes=60, escalate_every_minutes=30)
    await story.active()
    await story.called()
    await story.waits_for(minutes=29)
    assert await story.told(EmergencyEscalated) == []
    await story.waits_for(minutes=30)
    assert len(await story.told(EmergencyEscalated)) == 1
    assert (await story.tells("acknowledge")).status_code == 200
    assert (await story.of_it())[-1][1] == "in-time"


async def test_a_service_that_is_not_paid_for_has_no_emergencies(story: EmergencyStory) -> None:
    """Given a contract before registration, or after its end, when its customer calls, then it is refused by 3.4."""
    await story.accepted()
    assert problem(await story.calls()) == (409, "NotServed", "3.4")
    await story.until(START)
    await story.pays(1, reported_at=START - HOUR, audited_at=START)
    await story.until(END)
    answer = await story.calls()
    assert problem(answer) == (409, "NotServed", "3.4")
    assert answer.json()["agreement_version"] == "2026-1"
    assert await story.told(EmergencyReported) == []


async def test_an_extension_holds_the_emergency_service_too(story: EmergencyStory) -> None:
    """Given circumstances that were explained and accepted, when the period is over, then support answers. 3.5."""
    await story.active()
    await story.until(END - HOUR)
    await story.explained(until_on=(END + timedelta(days=5)).date())
    await story.granted((END + timedelta(days=5)).date())
    await story.until(END + HOUR)
    assert (await story.calls()).status_code == 201
    await story.until(END + timedelta(days=7))
    await story.tells("acknowledge")
    await story.tells("resolve", {"outcome": "restored", "log": "A new disk."})
    assert problem(await story.calls()) == (409, "NotServed", "3.4")


async def test_an_emergency_ends_with_what_was_done(story: EmergencyStory) -> None:
    """Given one that was taken on, when it is put right, then the customer is told how it ended. Clause 1.3."""
    await story.active()
    await story.called()
    body = {"outcome": "restored", "log": "Replaced the power supply."}
    assert problem(await story.tells("resolve", body)) == (409, "IllegalMove", None)
    await story.tells("acknowledge")
    answer = await story.tells("resolve", body)
    assert (answer.status_code, answer.json()["status"], answer.json()["outcome"]) == (200, "resolved", "restored")
    [told] = await story.told(EmergencyResolved)
    assert (told.outcome, "power" in told.model_dump_json()) == ("restored", False)


async def test_what_goes_on_as_ordinary_work_names_that_work(story: EmergencyStory) -> None:
    """Given one that needs more, then it ends with a work request for that server, which the rules of 1.1 decide."""
    await story.active()
    await story.called()
    await story.tells("acknowledge")
    body: dict[str, Any] = {"outcome": "work-requested", "log": "The disk must be replaced."}
    assert problem(await story.tells("resolve", body)) == (422, "WorkNotNamed", None)
    unknown = body | {"work_request_id": str(new_id())}
    assert problem(await story.tells("resolve", unknown)) == (404, "NoSuchWorkRequest", None)
    asked = {"operation_code": "health-check", "server_id": story.server_ids[0], "channel": "portal"}
    work = await story.http.post(f"/v1/contracts/{story.contract}/work-requests", json=asked)
    assert (await story.tells("resolve", body | {"work_request_id": work.json()["id"]})).status_code == 200
    [told] = await story.told(EmergencyResolved)
    assert str(told.work_request_id) == work.json()["id"]


async def test_the_customer_may_call_it_off_in_writing(story: EmergencyStory) -> None:
    await story.active()
    await story.called()
    path = f"/v1/emergencies/{story.emergency}/withdraw"
    assert problem(await story.http.post(path, json={"channel": "telephone"}))[1:] == ("OralRequest", "3.1")
    assert (await story.http.post(path, json={"channel": "email"})).status_code == 200
    assert len(await story.told(EmergencyWithdrawn)) == 1
    await story.waits_for(hours=1)
    assert await story.told(EmergencyEscalated) == []
    assert problem(await story.tells("acknowledge")) == (409, "IllegalMove", None)


async def test_of_several_who_answer_at_once_one_has_it(story: EmergencyStory) -> None:
    await story.active()
    await story.called()
    answers = await asyncio.gather(*(story.tells("acknowledge", by=name) for name in ("eve", "tom", "kim")))
    [won] = [answer.json() for answer in answers if answer.is_success]
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409]
    assert (await story.seen())["acknowledged_by"] == won["acknowledged_by"]
    assert len(await story.told(EmergencyAcknowledged)) == 1


async def test_a_server_has_one_emergency_at_a_time(story: EmergencyStory) -> None:
    """Given one that is under way, when its customer calls again, then the answer names it, and nobody is lost."""
    await story.active()
    first = await story.called()
    again = await story.calls()
    assert problem(again) == (409, "AlreadyAnEmergency", "1.3")
    assert again.json()["facts"]["emergency_id"] == first["id"]
    answers = await asyncio.gather(*(story.calls() for _ in range(3)))
    assert {answer.status_code for answer in answers} == {409}
    assert len(await story.told(EmergencyReported)) == 1


async def test_of_many_calls_at_once_one_is_taken(story: EmergencyStory) -> None:
    await story.active()
    answers = await asyncio.gather(*(story.calls() for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]


async def test_another_customers_emergency_is_not_found(story: EmergencyStory) -> None:
    await story.active()
    await story.called()
    other = story.service.as_role(Role.CUSTOMER, customer_id=new_id())
    path = f"/v1/emergencies/{story.emergency}"
    assert problem(await other.get(path)) == (404, "NoSuchEmergency", None)
    assert problem(await other.post(f"{path}/withdraw", json={"channel": "portal"})) == (404, "NoSuchEmergency", None)
    body = {"server_id": story.server_ids[0], "seen": SEEN, "channel": "portal"}
    answer = await other.post(f"/v1/contracts/{story.contract}/emergencies", json=body)
    assert problem(answer) == (404, "NoSuchContract", None)
    assert (await other.get("/v1/emergencies")).json()["items"] == []


async def test_only_servers_of_the_contract_have_its_emergencies(story: EmergencyStory) -> None:
    await story.active()
    assert problem(await story.calls(server_id=str(new_id())))[1] == "ServerOutsideContract"
    assert problem(await story.calls(channel="telephone"))[1:] == ("OralRequest", "3.1")
    for seen in ("", "x" * 4001, "bell\x07"):
        assert problem(await story.calls(seen=seen))[1] == "MalformedRequest"


async def test_the_calls_are_in_the_evidence_without_anybodys_words(story: EmergencyStory) -> None:
    await story.active()
    await story.called()
    await story.waits_for(minutes=10)
    await story.tells("acknowledge")
    content = (await story.http.get(f"/v1/contracts/{story.contract}/evidence")).content
    [row] = read(content, "emergencies.json")
    assert (row["id"], row["escalations"], row["acknowledged_by"]) == (story.emergency, 1, "eve")
    assert {"emergency-reported", "emergency-acknowledged"} <= {row["what"] for row in read(content, "timeline.json")}
    assert SEEN.encode() not in content
