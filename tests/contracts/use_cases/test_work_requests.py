"""Work is asked for in writing out of the catalogue, decided and done once, whoever comes at the same time."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from services.contracts.db import work_requests as work_rows
from services.contracts.db.tables import bookings, risk_assessments, technicians, work_requests
from services.contracts.use_cases import work_requests as stories
from shared.events.contracts import (
    WorkAccepted,
    WorkRefused,
    WorkRequested,
    WorkRequestFact,
    WorkSignedOff,
    WorkStarted,
    WorkWithdrawn,
)
from shared.kit import virtual_clock
from tests.contracts.stories.work import HOUR, REASON, WorkStory
from tests.contracts.story import END, START, problem


async def test_an_operation_of_the_plan_is_asked_for_with_its_risk(work: WorkStory) -> None:
    await work.active()
    answer = await work.ask(note="Please at night.\nThank you.")
    assert (answer.json()["status"], answer.json()["risk"]) == ("requested", "high")
    [fact] = await work.told(WorkRequested)
    assert (fact.operation_code, fact.agreement_version) == ("kernel-upgrade", "2026-1")
    assert "night" not in str([envelope.data for envelope in await work.service.envelopes()])
    decided = await work.decisions(answer.json()["id"])
    assert decided == [("work-request.request", "accepted", "3.1", "2026-1")]


async def test_deciding_and_withdrawing_at_once_has_one_winner(work: WorkStory) -> None:
    await work.active()
    await work.assessed("disk-repartition")
    await work.backed_up(await work.service.now())
    await work.acknowledge()
    answers = await asyncio.gather(
        work.tells("accept", by=work.eve),
        work.tells("refuse", REASON, by=work.tom),
        work.tells("refuse", REASON, by=work.eve),
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409]
    assert len(await work.told(WorkAccepted, WorkRefused)) == 1


async def test_starting_and_withdrawing_at_once_has_one_winner(work: WorkStory) -> None:
    await work.active()
    await work.scheduled()
    await work.service.advance(to=START + HOUR)
    answers = await asyncio.gather(
        work.tells("start", by=work.eve), work.tells("withdraw", {"channel": "portal"}, by=work.http)
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    assert len(await work.told(WorkStarted, WorkWithdrawn)) == 1


async def test_steps_written_at_once_are_all_kept_in_one_order(work: WorkStory) -> None:
    await work.active()
    await work.in_progress()
    answers = await asyncio.gather(
        *(work.tells("log", {"text": f"Step {number}."}, by=work.eve) for number in range(10))
    )
    assert [answer.status_code for answer in answers] == [201] * 10
    shown = (await work.work_shown())["log"]
    assert [step["step_index"] for step in shown] == list(range(1, 11))
    assert len({step["text"] for step in shown}) == 10


async def test_a_timer_and_the_customer_who_sign_off_at_once_have_one_effect(work: WorkStory) -> None:
    await work.active()
    await work.in_progress()
    await work.did("complete", by=work.eve)
    async with work.service.runtime.database.transaction() as tx:
        await virtual_clock.advance(tx, tx.now + timedelta(days=7))
    answer, _ = await asyncio.gather(
        work.tells("sign-off", {"channel": "portal"}, by=work.http), work.service.run_due()
    )
    assert answer.status_code in (200, 409)
    assert len(await work.told(WorkSignedOff)) == 1


async def test_warranty_work_is_opened_for_the_work_it_is_about(work: WorkStory) -> None:
    await work.active()
    await work.in_progress()
    await work.did("complete", by=work.eve)
    async with work.service.runtime.database.transaction() as tx:
        done = await work_rows.get_for_update(tx, UUID(work.work), only_customer=None)
        again = await stories.open_warranty_work(tx, done, note=None)
    shown = (await work.http.get(f"/v1/work-requests/{again.id}")).json()
    assert (shown["origin"], shown["warranty_of"], shown["status"]) == ("warranty", work.work, "requested")
    assert await work.decisions(str(again.id)) == [("work-request.request", "accepted", "6.1", "2026-1")]


NONSENSE: list[tuple[dict[str, Any], str, str]] = [
    ({"technician": "eve\u0000"}, "MalformedRequest", "technician"),
    ({"technician": ""}, "MalformedRequest", "technician"),
    ({"technician": "e" * 201}, "MalformedRequest", "technician"),
    ({"place": "anywhere"}, "MalformedRequest", "place"),
    ({"starts_at": "2030-02-30T10:00:00Z"}, "MalformedRequest", "starts_at"),
    ({"starts_at": "2030-02-01T10:00:00"}, "MalformedRequest", "starts_at"),
    ({"starts_at": "9999-02-01T10:00:00Z"}, "MalformedRequest", "starts_at"),
    ({"ends_at": "2030-01-31T12:59:59Z"}, "WindowImpossible", "ends_at"),
    ({"ends_at": "2030-02-28T13:00:00Z"}, "WindowImpossible", "ends_at"),
    ({"status": "completed"}, "MalformedRequest", "status"),
]


async def test_a_schedule_that_makes_no_sense_is_refused_and_nothing_stored(work: WorkStory) -> None:
    await work.active()
    await work.accepted_work()
    for changes, code, field in NONSENSE:
        answer = await work.tells("schedule", {**work.slot(), **changes}, by=work.support)
        assert (answer.status_code, answer.json()["code"]) == (422, code)
        assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert (await work.work_shown())["status"] == "accepted"
    assert await work.service.scalar(sa.select(sa.func.count()).select_from(bookings)) == 0


async def test_a_preference_that_makes_no_sense_is_refused_and_nothing_stored(work: WorkStory) -> None:
    await work.active()
    wish = {"starts_at": "2030-02-05T22:00:00Z", "ends_at": "2030-02-05T22:00:00Z"}
    answer = await work.ask("health-check", preference=wish)
    assert problem(answer) == (422, "WindowImpossible", "1.2")
    assert answer.json()["errors"][0]["field"] == "preference.ends_at"
    assert await work.told(WorkRequestFact) == []


@pytest.mark.parametrize(
    ("table", "values"),
    [
        (work_requests, {"status": "asleep"}),
        (work_requests, {"status": "requested"}),
        (work_requests, {"technician": None}),
        (work_requests, {"ends_at": START}),
        (work_requests, {"status": "in_progress"}),
        (work_requests, {"status": "failed"}),
        (work_requests, {"status": "signed_off"}),
        (work_requests, {"origin": "warranty"}),
        (bookings, {"ends_at": START}),
        (bookings, {"cancelled": True}),
        (bookings, {"technician": "nobody"}),
        (technicians, {"feed_sha256": "0" * 64}),
        (risk_assessments, {"risk": 4}),
    ],
    ids=lambda each: each.name if isinstance(each, sa.Table) else ",".join(each),
)
async def test_the_database_refuses_work_that_must_not_be(
    work: WorkStory, table: sa.Table, values: dict[str, Any]
) -> None:
    await work.active()
    await work.scheduled()
    with pytest.raises(IntegrityError):
        async with work.service.runtime.database.transaction() as tx:
            await tx.execute(sa.update(table).values(**values))


@pytest.mark.parametrize("code", ["make-coffee", "disk-repartition"])
async def test_what_the_plan_does_not_include_is_refused(work: WorkStory, code: str) -> None:
    await work.active(plan_code="essential-monthly-eur")
    answer = await work.ask(code)
    assert problem(answer) == (422, "OutsideCatalogue", "3.1")
    assert answer.json()["agreement_version"] == "2026-1"
    assert await work.service.scalar(sa.select(sa.func.count()).select_from(work_requests)) == 0


async def test_no_work_is_asked_for_before_registration_or_after_the_end(work: WorkStory) -> None:
    await work.accepted()
    assert problem(await work.ask()) == (409, "NotRegistered", "3.1")
    await work.pays(1, reported_at=await work.service.now(), audited_at=await work.service.now())
    assert (await work.ask()).status_code == 201
    await work.service.advance(to=END)
    answer = await work.ask()
    assert problem(answer) == (409, "NotRegistered", "3.1")
    assert answer.json()["facts"]["state"] == "expired"


async def test_work_is_for_a_server_of_the_contract_and_in_writing(work: WorkStory) -> None:
    await work.active()
    other = await work.server()
    assert problem(await work.ask(server_id=other)) == (409, "ServerOutsideContract", "3.1")
    assert problem(await work.ask(channel="phone")) == (422, "OralRequest", "3.1")
    assert await work.told(WorkRequestFact) == []


async def test_another_customers_work_is_not_found(work: WorkStory) -> None:
    await work.active()
    asked = await work.asked()
    stranger = WorkStory(work.service)
    await stranger.registered_customer()
    stranger.contract, stranger.server_ids = work.contract, work.server_ids
    assert problem(await stranger.ask()) == (404, "NoSuchContract", None)
    assert problem(await stranger.http.get(f"/v1/work-requests/{asked}")) == (404, "NoSuchWorkRequest", None)
    answer = await stranger.http.post(f"/v1/work-requests/{asked}/withdraw", json={"channel": "portal"})
    assert problem(answer) == (404, "NoSuchWorkRequest", None)
    assert (await stranger.http.get("/v1/work-requests")).json()["items"] == []
    listed = (await work.http.get("/v1/work-requests", params={"contract_id": work.contract})).json()["items"]
    assert [item["id"] for item in listed] == [asked]


async def test_only_a_technician_judges_and_does_the_work(work: WorkStory) -> None:
    await work.active()
    await work.asked()
    for client in (work.http, work.support):
        for verb, body in (
            ("assess", {"rehearsed": False}),
            ("accept", None),
            ("refuse", REASON),
            ("start", None),
            ("complete", None),
        ):
            assert problem(await work.tells(verb, body, by=client)) == (403, "Forbidden", None)
