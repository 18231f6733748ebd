"""Clause 2.4: a server must meet the conditions for maintenance; a checklist says whether it does."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest

from shared.kernel.ids import new_id
from shared.kit.auth import Role
from tests.contracts.stories.work import HOUR, WorkStory
from tests.contracts.story import START, problem

LOOKED_AT = ("reachable", "credentials-valid", "free-disk")
SOFTWARE = {"software": [{"name": "nginx", "licence": "BSD-2-Clause"}], "channel": "portal"}


class ReadinessStory:
    """What technicians look at, and what the customer sees of it."""

    def __init__(self, work: WorkStory) -> None:
        self.work = work

    @property
    def path(self) -> str:
        return f"/v1/servers/{self.work.server_ids[0]}"

    async def checks(self, condition: str, passed: bool = True, **changes: Any) -> httpx.Response:
        body = {"condition": condition, "passed": passed, **changes}
        return await self.work.support.post(f"{self.path}/readiness-checks", json=body)

    async def all_met(self) -> None:
        for condition in LOOKED_AT:
            assert (await self.checks(condition)).status_code == 201
        assert (await self.work.http.post(f"{self.path}/software", json=SOFTWARE)).status_code == 201
        await self.work.backed_up(await self.work.service.now())

    async def shown(self) -> dict[str, Any]:
        answer = await self.work.http.get(f"{self.path}/readiness")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def states(self) -> dict[str, str]:
        return {item["condition"]: item["state"] for item in (await self.shown())["items"]}

    async def start(self) -> httpx.Response:
        return await self.work.tells("start", by=self.work.eve)


@pytest.fixture
async def ready(work: WorkStory) -> ReadinessStory:
    """Given harmless work, accepted and scheduled, on a server that nobody has looked at; its window has begun."""
    await work.active()
    await work.accepted_work()
    await work.did("schedule", work.slot(), by=work.support)
    await work.service.advance(to=START + HOUR)
    return ReadinessStory(work)


async def test_work_begins_on_a_server_that_meets_every_condition(ready: ReadinessStory) -> None:
    """Given every condition met, When the technician begins, Then the decision says what was met (2.4)."""
    await ready.all_met()
    assert (await ready.shown())["ready"] is True
    assert (await ready.start()).json()["status"] == "in_progress"
    rows = (await ready.work.http.get("/v1/decisions", params={"subject_id": ready.work.work})).json()["items"]
    assert set(rows[-1]["facts"]["conditions"].values()) == {"ok"}


async def test_work_does_not_begin_on_a_server_that_nobody_has_looked_at(ready: ReadinessStory) -> None:
    """Given no checks, When the technician begins, Then it is refused by 2.4, naming what is lacking."""
    answer = await ready.start()
    assert problem(answer) == (409, "NotReady", "2.4")
    lacking = dict.fromkeys((*LOOKED_AT, "backup-present", "declared-software"), "unknown")
    assert answer.json()["facts"]["items"] == lacking
    assert answer.json()["agreement_version"] == "2026-1"
    assert (await ready.work.work_shown())["status"] == "scheduled"


async def test_it_begins_all_the_same_once_the_customer_was_told_what_is_unmet(ready: ReadinessStory) -> None:
    """Given a full disk that the customer was told of, When work begins, Then it may, and that is on record."""
    await ready.all_met()
    await ready.checks("free-disk", passed=False)
    assert problem(await ready.start()) == (409, "NotReady", "2.4")
    path = f"/v1/contracts/{ready.work.contract}/condition-declarations"
    body = {"server_id": ready.work.server_ids[0], "unmet": ["free-disk"]}
    assert (await ready.work.technician.post(path, json=body)).status_code == 201
    assert (await ready.start()).json()["status"] == "in_progress"
    rows = (await ready.work.http.get("/v1/decisions", params={"subject_id": ready.work.work})).json()["items"]
    assert rows[-1]["facts"]["declared_unmet"] == ["free-disk"]
    assert rows[-1]["facts"]["conditions"]["free-disk"] == "failed"


async def test_who_was_told_of_one_condition_was_not_told_of_another(ready: ReadinessStory) -> None:
    await ready.all_met()
    await ready.checks("free-disk", passed=False)
    path = f"/v1/contracts/{ready.work.contract}/condition-declarations"
    body = {"server_id": ready.work.server_ids[0], "unmet": ["reachable"]}
    assert (await ready.work.technician.post(path, json=body)).status_code == 201
    answer = await ready.start()
    assert answer.json()["facts"]["items"] == {"free-disk": "failed"}


async def test_a_stale_result_does_not_count(ready: ReadinessStory) -> None:
    """Given checks of 72 hours ago, Then they are stale; what the customer declared stands."""
    await ready.all_met()
    await ready.work.service.advance(to=START + HOUR + timedelta(hours=71))
    assert set((await ready.states()).values()) == {"ok"}
    await ready.work.service.advance(to=START + HOUR + timedelta(hours=73))
    states = await ready.states()
    assert {states[name] for name in (*LOOKED_AT, "backup-present")} == {"stale"}
    assert {states[name] for name in ("supported-system", "declared-software")} == {"ok"}
    assert (await ready.shown())["ready"] is False


async def test_the_newest_result_counts_by_when_it_was_checked(ready: ReadinessStory) -> None:
    """Given a result that is entered late, Then the later look counts, not the later entry."""
    now = await ready.work.service.now()
    await ready.checks("reachable", passed=True, checked_by="probe 7")
    earlier = (now - HOUR).isoformat()
    assert (await ready.checks("reachable", passed=False, checked_at=earlier)).status_code == 201
    [item] = [item for item in (await ready.shown())["items"] if item["condition"] == "reachable"]
    assert (item["state"], item["checked_by"]) == ("ok", "probe 7")


async def test_a_system_that_is_not_maintained_is_no_supported_one(ready: ReadinessStory) -> None:
    body = {"name": "old-1", "operating_system": "Debian 7", "channel": "portal"}
    customer = ready.work.customer_id
    server = (await ready.work.http.post(f"/v1/customers/{customer}/servers", json=body)).json()["id"]
    shown = (await ready.work.http.get(f"/v1/servers/{server}/readiness")).json()
    assert {"supported-system": "failed"}.items() <= {i["condition"]: i["state"] for i in shown["items"]}.items()


@pytest.mark.parametrize("condition", ["supported-system", "backup-present", "declared-software"])
async def test_what_follows_from_the_record_is_recorded_by_nobody(ready: ReadinessStory, condition: str) -> None:
    assert problem(await ready.checks(condition)) == (422, "NotRecorded", "2.4")


async def test_nobody_has_checked_in_the_future(ready: ReadinessStory) -> None:
    later = (await ready.work.service.now() + HOUR).isoformat()
    assert problem(await ready.checks("reachable", checked_at=later)) == (422, "CheckedLater", None)
    assert problem(await ready.checks("good-mood")) == (422, "MalformedRequest", None)


async def test_another_customers_server_is_not_found_and_customers_check_nothing(ready: ReadinessStory) -> None:
    other = ready.work.service.as_role(Role.CUSTOMER, customer_id=new_id())
    assert problem(await other.get(f"{ready.path}/readiness")) == (404, "NoSuchServer", None)
    body = {"condition": "reachable", "passed": True}
    assert (await ready.work.http.post(f"{ready.path}/readiness-checks", json=body)).status_code == 403
    unknown = await ready.work.support.post(f"/v1/servers/{new_id()}/readiness-checks", json=body)
    assert problem(unknown) == (404, "NoSuchServer", None)
