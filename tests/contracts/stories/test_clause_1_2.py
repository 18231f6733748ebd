"""Clause 1.2: when and where an agent works is the company's choice."""

import asyncio
from datetime import timedelta

from shared.events.contracts import (
    WorkCompleted,
    WorkFailed,
    WorkRescheduled,
    WorkScheduled,
    WorkSignedOff,
    WorkStarted,
)
from tests.contracts.stories.work import HOUR, WorkStory
from tests.contracts.story import START, Story, problem


async def test_the_company_chooses_window_place_and_technician_and_a_preference_binds_nobody(work: WorkStory) -> None:
    """Given a customer who would like Tuesday night on site, when the company chooses, then its choice holds."""
    await work.active()
    wish = {"starts_at": "2030-02-05T22:00:00Z", "ends_at": "2030-02-06T02:00:00Z", "place": "on-site"}
    await work.asked("health-check", preference=wish)
    await work.did("assess", {"rehearsed": False}, by=work.eve)
    await work.did("accept", by=work.eve)
    chosen = work.slot(START + HOUR, place="remote")
    shown = await work.did("schedule", chosen, by=work.support)
    assert (shown["status"], shown["schedule"]["place"]) == ("scheduled", "remote")
    assert shown["schedule"]["starts_at"] == "2030-01-31T13:00:00Z"
    assert shown["preference"] == wish
    [fact] = await work.told(WorkScheduled)
    assert (fact.starts_at, fact.place) == (START + HOUR, "remote")
    assert "eve" not in str(fact.model_dump())
    assert (await work.work_decisions())[-1] == ("work-request.schedule", "scheduled", "1.2", "2026-1")


async def test_no_technician_is_booked_twice_at_once(work: WorkStory) -> None:
    """Given a technician who is booked, when other work overlaps, then it is refused; right after it, it is not."""
    await work.active()
    await work.scheduled(slot=work.slot(START + HOUR, 2))
    await work.accepted_work()
    for begins, hours in ((1, 2), (0, 4), (2, 3), (0.5, 1), (1.5, 1)):
        answer = await work.tells("schedule", work.slot(START + begins * HOUR, hours), by=work.support)
        assert problem(answer) == (409, "TechnicianBooked", "1.2")
    other = work.slot(START + HOUR, 2, technician="tom")
    assert (await work.tells("schedule", other, by=work.support)).status_code == 200
    await work.accepted_work()
    assert (await work.tells("schedule", work.slot(START + 3 * HOUR, 1), by=work.support)).status_code == 200
    await work.accepted_work()
    assert (await work.tells("schedule", work.slot(START, 1), by=work.support)).status_code == 200


async def test_of_twenty_that_book_a_technician_at_once_one_succeeds(work: WorkStory) -> None:
    """Given twenty pieces of work, when all are scheduled at once for one technician, then one of them is."""
    await work.active()
    asked = [await work.accepted_work() for _ in range(20)]
    answers = await asyncio.gather(
        *(
            work.support.post(
                f"/v1/work-requests/{one}/schedule", json=work.slot(START + HOUR + number * timedelta(minutes=5), 2)
            )
            for number, one in enumerate(asked)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 19
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"TechnicianBooked"}
    assert len(await work.told(WorkScheduled)) == 1


async def test_work_that_is_rescheduled_frees_its_technician(work: WorkStory) -> None:
    """Given work of Eve's, when it is given to Tom, then Eve is free at that time and Tom is not."""
    await work.active()
    first = await work.scheduled()
    moved = await work.did("reschedule", work.slot(technician="tom"), by=work.support)
    assert moved["schedule"]["technician"] == "tom"
    assert len(await work.told(WorkRescheduled)) == 1
    await work.scheduled()
    assert problem(await work.tells("reschedule", work.slot(technician="tom"), by=work.support)) == (
        409,
        "TechnicianBooked",
        "1.2",
    )
    # Withdrawn work takes nobody's time.
    await work.http.post(f"/v1/work-requests/{first}/withdraw", json={"channel": "portal"})
    assert (await work.tells("reschedule", work.slot(technician="tom"), by=work.support)).status_code == 200


async def test_only_the_scheduled_technician_does_the_work_within_its_window(work: WorkStory) -> None:
    """Given scheduled work, when another technician starts it, or Eve too early, then it does not start."""
    await work.active()
    await work.scheduled()
    assert problem(await work.tells("start", by=work.eve)) == (409, "OutsideTheWindow", "1.2")
    await work.service.advance(to=START + HOUR)
    assert problem(await work.tells("start", by=work.tom)) == (403, "NotTheTechnician", "1.2")
    assert (await work.did("start", by=work.eve))["status"] == "in_progress"
    for verb, body in (("log", {"text": "Looked around."}), ("complete", None), ("fail", {"reason": "No idea."})):
        assert problem(await work.tells(verb, body, by=work.tom)) == (403, "NotTheTechnician", "1.2")
    [started] = await work.told(WorkStarted)
    assert str(started.server_id) == work.server_ids[0]


async def test_work_is_done_step_by_step_and_signed_off_by_the_customer(work: WorkStory) -> None:
    """Given work in progress, when its technician logs and completes it, then the customer signs it off."""
    await work.active()
    await work.in_progress()
    for text in ("Looked at the disks.", "Looked at the logs:\nnothing new."):
        await work.did("log", {"text": text}, by=work.eve)
    await work.did("complete", by=work.eve)
    shown = await work.work_shown()
    assert (shown["status"], shown["steps"]) == ("completed", 2)
    assert [(step["step_index"], step["text"]) for step in shown["log"]] == [
        (1, "Looked at the disks."),
        (2, "Looked at the logs:\nnothing new."),
    ]
    assert "disks" not in str([envelope.data for envelope in await work.service.envelopes()])
    assert problem(await work.tells("log", {"text": "One more."}, by=work.eve)) == (409, "IllegalMove", None)
    assert (await work.did("sign-off", {"channel": "portal"}, by=work.http))["status"] == "signed_off"
    assert [type(fact) for fact in await work.told(WorkCompleted, WorkSignedOff)] == [WorkCompleted, WorkSignedOff]
    await work.service.advance(by=timedelta(days=30))
    assert len(await work.told(WorkSignedOff)) == 1


async def test_work_counts_as_signed_off_when_the_customer_has_not_objected_within_seven_days(work: WorkStory) -> None:
    """Given work that is done, when seven days pass without a word, then it is signed off."""
    await work.active()
    await work.in_progress()
    await work.did("complete", by=work.eve)
    await work.service.advance(by=timedelta(days=7) - timedelta(seconds=1))
    assert (await work.work_shown())["status"] == "completed"
    await work.service.advance(by=timedelta(seconds=1))
    shown = await work.work_shown()
    assert (shown["status"], shown["signed_off_at"][:16]) == ("signed_off", "2030-02-07T13:00")
    [fact] = await work.told(WorkSignedOff)
    assert fact.by_customer is False
    assert (await work.work_decisions())[-1] == ("work-request.sign-off", "signed_off", "1.2", "2026-1")
    answer = await work.tells("sign-off", {"channel": "portal"}, by=work.http)
    assert problem(answer) == (409, "IllegalMove", None)


async def test_work_that_could_not_be_done_has_failed_with_its_reason(work: WorkStory) -> None:
    """Given work in progress, when it cannot be done, then it has failed, and its technician is free."""
    await work.active()
    await work.in_progress()
    shown = await work.did("fail", {"reason": "The server does not answer."}, by=work.eve)
    assert (shown["status"], shown["reason"]) == ("failed", "The server does not answer.")
    assert len(await work.told(WorkFailed)) == 1
    await work.accepted_work()
    assert (await work.tells("schedule", work.slot(), by=work.support)).status_code == 200


async def test_no_work_goes_on_after_the_service_has_ended(work: WorkStory) -> None:
    """Given scheduled work, when the service has expired by then, then it neither starts nor moves (3.1)."""
    await work.active()
    await work.scheduled(slot=work.slot(START + timedelta(days=40)))
    await work.service.advance(to=START + timedelta(days=40))
    assert problem(await work.tells("start", by=work.eve)) == (409, "NotRegistered", "3.1")
    later = work.slot(START + timedelta(days=41))
    assert problem(await work.tells("reschedule", later, by=work.support)) == (409, "NotRegistered", "3.1")
    assert (await work.did("withdraw", {"channel": "email"}, by=work.support))["status"] == "withdrawn"


async def test_another_customers_work_is_neither_seen_nor_signed(work: WorkStory) -> None:
    """Given another customer's work, when a stranger asks for it, then there is no such thing."""
    await work.active()
    await work.scheduled()
    stranger = Story(work.service).http
    for answer in (
        await stranger.get(f"/v1/work-requests/{work.work}"),
        await stranger.get(f"/v1/work-requests/{work.work}/risk-text"),
        await work.tells("withdraw", {"channel": "portal"}, by=stranger),
        await work.tells("sign-off", {"channel": "portal"}, by=stranger),
        await work.tells("acknowledge", {"language": "en", "text_sha256": "0" * 64, "channel": "portal"}, by=stranger),
    ):
        assert problem(answer) == (404, "NoSuchWorkRequest", None)
    for verb in ("schedule", "reschedule", "start", "complete"):
        assert problem(await work.tells(verb, work.slot(), by=work.http)) == (403, "Forbidden", None)
