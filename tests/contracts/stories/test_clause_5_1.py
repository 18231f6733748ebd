"""Clause 5.1: faults of third parties, the customer's own operation and disclosure are the customer's; one appeal."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from services.contracts.db.tables import incidents
from shared.events.contracts import AppealDecided, IncidentDecided, IncidentReported
from shared.kernel.ids import new_id
from shared.kit.auth import Role
from shared.kit.tables import decisions
from tests.contracts.stories.incidents import FINDING, HAPPENED, OTHER_WORDS, SEEN, IncidentStory
from tests.contracts.story import END, HOUR, START, problem
from tests.support.service import ServiceUnderTest


@pytest.fixture
async def story(service: ServiceUnderTest) -> IncidentStory:
    """Given a served contract and an incident on its server that the customer has reported."""
    story = IncidentStory(service)
    await story.served()
    await story.reported()
    return story


@pytest.mark.parametrize("cause", ["third-party", "customer-misoperation"])
async def test_what_others_or_the_customer_did_is_the_customers(story: IncidentStory, cause: str) -> None:
    """Given findings that show it, When it is decided, Then it is the customer's by 5.1."""
    await story.determines(cause, findings=[FINDING])
    answer = await story.decides()
    assert (answer.json()["liability"], answer.json()["clause"]) == ("customer", "5.1")
    assert await story.verdicts() == [("incident.decide", "customer", "5.1", "2026-1")]


async def test_a_disclosure_is_the_customers_where_it_is_on_record(story: IncidentStory) -> None:
    """Given no record of a disclosure, Then nothing is decided; When one is on record, Then it is the customer's."""
    await story.determines("customer-disclosure", findings=[{**FINDING, "kind": "access-log"}])
    refused = await story.decides()
    assert problem(refused) == (409, "FactsMissing", "5.1")
    assert refused.json()["facts"]["missing"] == ["disclosure-reported"]
    await story.discloses("company", at=HAPPENED - HOUR)
    await story.discloses("customer", at=HAPPENED + HOUR)
    assert problem(await story.decides()) == (409, "FactsMissing", "5.1")
    disclosure = await story.discloses("customer", at=HAPPENED - HOUR)
    assert (await story.decides()).json()["liability"] == "customer"
    rows = (await story.http.get("/v1/decisions", params={"subject_id": story.incident})).json()["items"]
    assert rows[0]["facts"]["disclosure"]["disclosure_id"] == disclosure


async def test_without_findings_nothing_is_put_on_the_customer(story: IncidentStory) -> None:
    """Given a technician's word alone, When it is decided, Then facts are missing."""
    await story.determines("customer-misoperation")
    assert problem(await story.decides()) == (409, "FactsMissing", "5.1")
    assert (await story.shown_incident())["status"] == "reported"


async def test_an_appeal_is_decided_by_somebody_else_and_may_change_the_verdict(story: IncidentStory) -> None:
    """Given a decision and an appeal, When another technician finds our defect, Then the company answers."""
    await story.determines("third-party", findings=[FINDING])
    await story.decides()
    assert (await story.appeals()).json()["status"] == "appealed"
    assert problem(await story.decides_appeal(by=story.technician)) == (403, "OwnDecision", None)
    found = {"cause": "company-defect", "data_lost": True, "findings": [FINDING]}
    answer = await story.decides_appeal(reconsidered=found)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["status"], answer.json()["liability"]) == ("concluded", "company")
    [told] = await story.told(AppealDecided)
    assert (told.verdict, told.liability, told.clause, told.cause) == ("changed", "company", "6.2", "company-defect")
    assert await story.verdicts() == [
        ("incident.decide", "customer", "5.1", "2026-1"),
        ("incident.decide-appeal", "changed", "6.2", "2026-1"),
    ]


async def test_an_appeal_may_be_upheld_and_a_second_one_is_refused(story: IncidentStory) -> None:
    """Given an appeal that was judged by the same facts, Then the verdict is upheld, and that is the last word."""
    await story.determines("third-party", findings=[FINDING])
    await story.decides()
    await story.appeals()
    assert problem(await story.appeals()) == (409, "AlreadyAppealed", None)
    await story.decides_appeal()
    [told] = await story.told(AppealDecided)
    assert (told.verdict, told.liability) == ("upheld", "customer")
    assert problem(await story.appeals()) == (409, "AlreadyAppealed", None)
    assert problem(await story.decides_appeal()) == (409, "IllegalMove", None)


async def test_both_decisions_are_explained_in_the_accepted_language_and_judged_again(story: IncidentStory) -> None:
    """When they are asked for, Then each shows its clause's text, and comes out the same when judged again."""
    await story.determines("third-party", findings=[FINDING])
    await story.decides()
    await story.appeals()
    await story.decides_appeal()
    rows = (await story.http.get("/v1/decisions", params={"subject_id": story.incident})).json()["items"]
    assert len(rows) == 2
    for row in rows:
        explained = (await story.http.get(f"/v1/decisions/{row['id']}")).json()["clause_accepted"]
        assert (explained["number"], explained["language"], explained["title"]) == ("5.1", "en", "Faults of others")
        replayed = (await story.http.get(f"/v1/decisions/{row['id']}/replay")).json()
        assert (replayed["outcome"], replayed["again"]) == ("same", replayed["kept"])


async def test_an_appeal_is_in_writing_and_against_a_decision(story: IncidentStory) -> None:
    """Given nothing decided yet, or a telephone call, Then there is no appeal."""
    assert problem(await story.appeals()) == (409, "IllegalMove", None)
    await story.determines("third-party", findings=[FINDING])
    await story.decides()
    assert problem(await story.appeals(channel="telephone")) == (422, "OralRequest", "3.1")
    assert (await story.shown_incident())["status"] == "decided"


async def test_the_database_has_two_people_decide_too(story: IncidentStory) -> None:
    """Given a concluded appeal, When somebody writes the first decider into it by hand, Then the database refuses."""
    await story.determines("third-party", findings=[FINDING])
    await story.decides()
    await story.appeals()
    await story.decides_appeal()
    for values in (
        {"concluded_by": incidents.c.decided_by},
        {"cause": None},
        {"appealed_at": None},
        {"decided_by": None},
        {"liability": "nobody"},
    ):
        with pytest.raises(IntegrityError):
            async with story.service.runtime.database.transaction() as tx:
                await tx.execute(sa.update(incidents).values(**values))


async def test_two_who_decide_at_once_make_one_decision(story: IncidentStory) -> None:
    """Given one incident, When several decide or appeal at the same moment, Then one of each counts."""
    await story.determines("third-party", findings=[FINDING])
    answers = await asyncio.gather(*(story.decides(by=who) for who in (story.technician, story.second) * 3))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 5}
    appeals = await asyncio.gather(*(story.appeals() for _ in range(5)))
    assert Counter(answer.status_code for answer in appeals) == {200: 1, 409: 4}
    assert len(await story.told(IncidentDecided)) == 1
    assert await story.service.scalar(sa.select(sa.func.count()).where(decisions.c.kind == "incident.decide")) == 1


async def test_a_loss_after_the_unpaid_end_is_not_the_companys(service: ServiceUnderTest) -> None:
    """Clause 3.4. Given a service that ended unpaid, When something is lost later, Then it is exempt by 3.4."""
    story = IncidentStory(service)
    await story.served()
    await story.reported(at=END + timedelta(days=2))
    await story.determines("expired-unpaid", data_lost=True)
    answer = await story.decides()
    assert (answer.json()["liability"], answer.json()["clause"]) == ("exempt", "3.4")


async def test_while_the_service_runs_nothing_is_put_on_late_payment(story: IncidentStory) -> None:
    """Clause 3.4. Given a running service, When its end is given as the cause, Then the records say otherwise."""
    await story.determines("expired-unpaid", data_lost=True)
    refused = await story.decides()
    assert problem(refused) == (409, "FactsMissing", "3.4")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"channel": "telephone"}, (422, "OralRequest", "3.1")),
        ({"server_id": str(new_id())}, (409, "ServerOutsideContract", "3.1")),
        ({"happened_at": (START - timedelta(seconds=1)).isoformat()}, (422, "OutsideTheService", None)),
        ({"happened_at": (HAPPENED + timedelta(days=9)).isoformat()}, (422, "OutsideTheService", None)),
        ({"seen": " \n "}, (422, "MalformedRequest", None)),
        ({"seen": "x" * 4001}, (422, "MalformedRequest", None)),
        ({"liability": "company"}, (422, "MalformedRequest", None)),
        ({"happened_at": "2030-02-30T00:00:00Z"}, (422, "MalformedRequest", None)),
    ],
)
async def test_a_report_that_cannot_be_is_refused_and_nothing_is_stored(
    story: IncidentStory, changes: dict[str, str], expected: tuple[int, str, str | None]
) -> None:
    assert problem(await story.reports_incident(**changes)) == expected
    assert await story.service.scalar(sa.select(sa.func.count()).select_from(incidents)) == 1


async def test_nobody_reports_on_a_service_that_never_was(service: ServiceUnderTest) -> None:
    story = IncidentStory(service)
    await story.accepted()
    assert problem(await story.reports_incident(happened_at=START.isoformat())) == (409, "NotRegistered", "3.1")


async def test_what_people_wrote_stays_in_the_row(story: IncidentStory) -> None:
    """Given a report and an appeal in the customer's words, Then no fact, decision or audit row holds them."""
    await story.determines("third-party", findings=[FINDING])
    await story.decides()
    await story.appeals()
    await story.decides_appeal()
    told = repr([fact.model_dump(mode="json") for fact in await story.told()])
    rows = (await story.http.get("/v1/decisions", params={"subject_id": story.incident})).text
    for words in (SEEN, OTHER_WORDS):
        assert words not in told
        assert words not in rows
    [reported] = await story.told(IncidentReported)
    assert reported.incident_id == UUID(story.incident)


async def test_a_customer_sees_its_own_incidents_and_no_others(story: IncidentStory) -> None:
    other = story.service.as_role(Role.CUSTOMER, customer_id=new_id())
    staff = story.service.as_role(Role.SUPPORT)
    unknown = (await other.get(f"/v1/incidents/{new_id()}")).json()
    hidden = (await other.get(f"/v1/incidents/{story.incident}")).json()
    assert {unknown["code"], hidden["code"]} == {"NoSuchIncident"}
    assert (await other.get("/v1/incidents")).json()["items"] == []
    assert [row["id"] for row in (await story.http.get("/v1/incidents")).json()["items"]] == [story.incident]
    assert (await staff.get(f"/v1/incidents/{story.incident}")).status_code == 200
    for verb in ("determine-cause", "decide", "recovery-attempts", "decide-appeal"):
        answer = await story.http.post(f"/v1/incidents/{story.incident}/{verb}", json={})
        assert answer.status_code == 403, verb


async def test_work_on_another_server_or_contract_is_no_maintenance_of_this_one(story: IncidentStory) -> None:
    other = IncidentStory(story.service)
    await other.accepted()
    await other.pays(1, reported_at=START, audited_at=START)
    work = await other.maintenance()
    for named in (work, str(new_id())):
        answer = await story.determine("crash-during-maintenance", data_lost=True, work_request_id=named)
        assert problem(answer) == (404, "NoSuchWorkRequest", None)
    assert problem(await story.determine("crash-during-maintenance", data_lost=True)) == (422, "WorkMissing", "2.1")
    assert problem(await story.determine("third-party", work_request_id=work)) == (422, "WorkMissing", "2.1")
