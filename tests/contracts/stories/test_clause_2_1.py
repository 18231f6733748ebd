"""Clause 2.1: data lost by a crash or disk damage during maintenance is recovered as well as can be, then exempt."""

from __future__ import annotations

import pytest

from shared.events.contracts import IncidentDecided
from tests.contracts.stories.incidents import FINDING, HAPPENED, IncidentStory
from tests.contracts.story import problem
from tests.support.service import ServiceUnderTest


@pytest.fixture
async def story(service: ServiceUnderTest) -> IncidentStory:
    """Given a served contract, maintenance under way on its server, and a report that the server crashed meanwhile."""
    story = IncidentStory(service)
    await story.served()
    return story


async def test_what_cannot_be_recovered_is_exempt_after_one_attempt_on_record(story: IncidentStory) -> None:
    """Given a disk that broke during maintenance, When recovery was tried in vain, Then the loss is exempt by 2.1."""
    work = await story.maintenance()
    await story.reported()
    await story.determines("disk-damage-during-maintenance", data_lost=True, work_request_id=work)
    await story.tries_recovery("failed")
    answer = await story.decides()
    assert answer.status_code == 200, answer.text
    assert (answer.json()["status"], answer.json()["liability"], answer.json()["clause"]) == (
        "decided",
        "exempt",
        "2.1",
    )
    assert await story.verdicts() == [("incident.decide", "exempt", "2.1", "2026-1")]
    [told] = await story.told(IncidentDecided)
    assert (told.liability, told.clause, told.cause) == ("exempt", "2.1", "disk-damage-during-maintenance")


async def test_it_does_not_close_as_unrecoverable_before_anybody_tried(story: IncidentStory) -> None:
    """Given the same loss, When nobody has tried to recover it, Then it cannot be decided and stays open."""
    work = await story.maintenance()
    await story.reported()
    await story.determines("crash-during-maintenance", data_lost=True, work_request_id=work)
    answer = await story.decides()
    assert problem(answer) == (409, "RecoveryNotTried", "2.1")
    assert answer.json()["facts"] == {"attempts": 0, "minimum_recovery_attempts": 1}
    assert answer.json()["agreement_version"] == "2026-1"
    assert (await story.shown_incident())["status"] == "reported"
    assert await story.verdicts() == []


async def test_what_came_back_is_no_loss(story: IncidentStory) -> None:
    """Given a crash during maintenance, When an attempt brought the data back, Then nothing is left to answer for."""
    work = await story.maintenance()
    await story.reported()
    await story.determines("crash-during-maintenance", data_lost=True, work_request_id=work)
    await story.tries_recovery("failed", method="file-system-repair")
    await story.tries_recovery("recovered")
    assert (await story.decides()).json()["liability"] == "no-loss"
    shown = await story.shown_incident()
    assert shown["recovered"] is True
    assert [(each["method"], each["outcome"]) for each in shown["attempts"]] == [
        ("file-system-repair", "failed"),
        ("restore-from-backup", "recovered"),
    ]


async def test_whether_there_was_maintenance_is_read_from_the_work_and_not_believed(story: IncidentStory) -> None:
    """Given work that was done before it happened, When it is named as maintenance, Then that is not on record."""
    work = await story.maintenance()
    done = await story.technician.post(f"/v1/work-requests/{work}/complete")
    assert done.status_code == 200, done.text
    await story.reported()
    await story.determines("crash-during-maintenance", data_lost=True, work_request_id=work)
    await story.tries_recovery("failed")
    answer = await story.decides()
    assert problem(answer) == (409, "FactsMissing", "2.1")
    assert answer.json()["facts"]["missing"] == ["work-in-progress"]


async def test_a_technical_defect_of_the_company_is_the_companys_and_opens_the_refund(story: IncidentStory) -> None:
    """Given findings of our own defect, When it is decided, Then the company answers and clause 6.2 opens."""
    await story.reported()
    await story.determines("company-defect", data_lost=True, findings=[FINDING])
    assert (await story.decides()).status_code == 200
    [told] = await story.told(IncidentDecided)
    assert (told.liability, told.clause, told.period_index) == ("company", "6.2", 1)
    assert str(told.contract_id) == story.contract


async def test_an_undetermined_cause_cannot_be_decided(story: IncidentStory) -> None:
    """Given no cause, or one that was withdrawn again, When somebody decides, Then there is no decision."""
    await story.reported()
    assert problem(await story.decides()) == (409, "CauseUndetermined", None)
    await story.determines("third-party", findings=[FINDING])
    await story.determines(None)
    assert problem(await story.decides()) == (409, "CauseUndetermined", None)
    assert await story.verdicts() == []


async def test_the_decision_keeps_the_facts_that_it_was_made_from(story: IncidentStory) -> None:
    """Given a backup before and one after, When it is decided, Then the last verified one before is among the facts."""
    before = await story.run_told(at=HAPPENED)
    work = await story.maintenance()
    await story.reported()
    await story.run_told(at=HAPPENED)
    await story.determines("crash-during-maintenance", data_lost=True, work_request_id=work)
    await story.tries_recovery("failed")
    await story.decides()
    rows = (await story.http.get("/v1/decisions", params={"subject_id": story.incident})).json()["items"]
    facts = rows[0]["facts"]
    assert facts["last_verified_backup"]["run_id"] == str(before.run_id)
    assert facts["work"]["work_request_id"] == work
    assert facts["work"]["in_progress"] is True
    assert facts["service"]["served"] is True
    assert facts["recovery"] == {"attempts": 1, "methods": ["restore-from-backup"], "recovered": False}
    assert rows[0]["parameters"] == {"minimum_recovery_attempts": 1}
