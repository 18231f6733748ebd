"""Clause 3.1: what can be bought is in the catalogue, in versions; a contract keeps the version that it bought."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from services.contracts import opening
from services.contracts.db import agreements, catalogue
from services.contracts.domain.agreement import Agreements
from shared.events.contracts import RenewalRequested, ServiceRegistered, ServiceRenewed
from shared.kernel.money import Money
from tests.contracts.stories.agreements import serve_plans
from tests.contracts.story import END, HOUR, OPENS, PLAN, START, Story, problem
from tests.support.databases import Beginnings

SOLD = catalogue.read_file(catalogue.FILE).plan(PLAN, agreement_version="2026-1")
OTHER = replace(SOLD, code="other-eur")
DEARER = replace(SOLD, version=2, fee=Money(29_900, "EUR"), offered_from=START + timedelta(days=7))
WITHDRAWN = replace(SOLD, offered_until=START + timedelta(days=7))


@pytest.fixture
def database_url(begun: Beginnings, tmp_path: Path) -> str:
    """What differs between databases is tried elsewhere."""
    return begun.on_sqlite(tmp_path / "contracts.db")


@pytest.fixture
def publish(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The catalogue that a process started now would read."""
    return lambda *plans: serve_plans(monkeypatch, *plans)


async def test_free_text_never_becomes_a_service(story: Story) -> None:
    """Given no such plan in the catalogue, When it is asked for, Then it is refused by 3.1 and nothing is kept."""
    await story.registered_customer()
    await story.server()
    answer = await story.http.post("/v1/contracts", json=story.draft_body(plan_code="as-we-talked-about"))
    assert problem(answer) == (422, "OutsideCatalogue", "3.1")
    assert (await story.http.get("/v1/contracts")).json()["items"] == []


async def test_a_plan_says_all_that_is_bought_with_it(story: Story) -> None:
    """Given the catalogue, Then a plan shows price, term, operations, service hours and rhythm of backups."""
    found = (await story.service.anonymous().get("/v1/catalogue/plans/continuity-monthly-eur")).json()
    [version] = found["versions"]
    assert version["fee"] == {"minor": 49_900, "currency": "EUR", "text": "499.00 EUR"}
    assert (version["term_months"], version["service_hours"], version["local_backup_every_hours"]) == (1, "24x7", 6)
    assert "database-migration" in version["operations"]
    assert (version["version"], version["offered"], version["offered_until"]) == (1, True, None)
    essential = (await story.http.get("/v1/catalogue/plans/essential-monthly-eur")).json()["versions"][0]
    assert essential["service_hours"] == "mon,tue,wed,thu,fri 08:00-18:00"
    assert essential["local_backup_every_hours"] is None
    assert problem(await story.http.get("/v1/catalogue/plans/made-to-measure")) == (404, "NoSuchPlan", None)


async def test_a_contract_keeps_the_version_that_it_bought_and_renews_into_the_newest(
    story: Story, publish: Any
) -> None:
    """Given version 1 bought, When version 2 is offered, Then the service stays at 1 and renews into 2."""
    publish(SOLD, DEARER)
    await story.active()
    await story.service.advance(to=OPENS)
    shown = await story.shown()
    assert (shown["plan"]["version"], shown["plan"]["fee"]["minor"]) == (1, 24_900)
    assert (await story.do("renew")).status_code == 200
    [request] = await story.told(RenewalRequested)
    assert (request.plan_version, request.fee.minor) == (2, 29_900)
    assert (await story.shown())["plan"]["version"] == 1
    await story.pays(2, reported_at=OPENS, audited_at=OPENS + HOUR)
    await story.service.advance(to=END)
    assert (await story.shown())["plan"]["version"] == 2
    versions = (await story.http.get(f"/v1/catalogue/plans/{PLAN}")).json()["versions"]
    assert [(each["version"], each["offered"]) for each in versions] == [(1, False), (2, True)]


async def test_a_version_of_tomorrow_is_shown_and_cannot_be_bought_today(story: Story, publish: Any) -> None:
    publish(SOLD, DEARER)
    await story.drafted()
    assert (await story.shown())["plan"]["version"] == 1
    versions = (await story.http.get(f"/v1/catalogue/plans/{PLAN}")).json()["versions"]
    assert [(each["version"], each["offered"]) for each in versions] == [(1, True), (2, False)]
    [listed] = (await story.http.get("/v1/catalogue/plans")).json()["items"]
    assert listed["version"] == 1


async def test_a_withdrawn_plan_cannot_be_bought_and_what_is_offered_is_named(story: Story, publish: Any) -> None:
    """Given a plan withdrawn last week, When somebody asks for it, Then 3.1 refuses it and names the others."""
    publish(WITHDRAWN, OTHER)
    await story.drafted()
    await story.service.advance(to=START + timedelta(days=7))
    for answer in (await story.http.post("/v1/contracts", json=story.draft_body()), await story.do("accept")):
        assert problem(answer) == (422, "OutsideCatalogue", "3.1")
        assert answer.json()["facts"] == {"plan_code": PLAN, "offered": ["other-eur"]}
        assert answer.json()["agreement_version"] == "2026-1"
    assert await story.status() == "draft"
    assert [each["code"] for each in (await story.http.get("/v1/catalogue/plans")).json()["items"]] == ["other-eur"]


async def test_a_withdrawn_plan_is_served_to_the_end_of_its_period_and_not_renewed(story: Story, publish: Any) -> None:
    """Given a bought plan, When it is withdrawn, Then its period is served, and a renewal is refused naming others."""
    publish(WITHDRAWN, OTHER)
    await story.active()
    await story.service.advance(to=OPENS)
    assert await story.status() == "active"
    answer = await story.do("renew")
    assert problem(answer) == (422, "OutsideCatalogue", "3.1")
    assert answer.json()["facts"]["offered"] == ["other-eur"]
    assert await story.told(RenewalRequested) == []
    window = (await story.http.get(f"/v1/contracts/{story.contract}/window")).json()
    options = {each["decision"]: (each["allowed"], each["refusal"], each["clause"]) for each in window["options"]}
    assert (window["decision"], options["renew"], options["stop"]) == (
        None,
        (False, "OutsideCatalogue", "3.1"),
        (True, None, "3.3"),
    )
    assert (await story.do("stop")).status_code == 200
    bought = (await story.http.get(f"/v1/contracts/{story.contract}/plan")).json()
    assert (bought["version"], bought["offered"], bought["fee"]["minor"]) == (1, False, 24_900)


async def test_the_plans_own_rhythm_of_backups_is_what_the_backup_service_is_told(story: Story) -> None:
    """Given a plan with a backup every 6 hours under an agreement of 24, Then the service is registered with 6. 2.2"""
    await story.active(plan_code="continuity-monthly-eur")
    [registered] = await story.told(ServiceRegistered)
    assert (registered.local_backup_every_hours, registered.retention_days) == (6, 30)
    await story.service.advance(to=OPENS)
    assert (await story.do("renew")).status_code == 200
    await story.pays(2, reported_at=OPENS, audited_at=OPENS + HOUR)
    [renewed] = await story.told(ServiceRenewed)
    assert renewed.local_backup_every_hours == 6


async def test_a_contract_shows_whether_its_service_hours_are_now_by_its_own_clock(story: Story) -> None:
    """Given office hours and a customer in Berlin, Then at 12:00 UTC on a Thursday they are, and at 17:00 UTC not."""
    await story.active(plan_code="essential-monthly-eur")
    now = (await story.http.get(f"/v1/contracts/{story.contract}/plan")).json()
    assert (now["zone"], now["service_hours"]) == ("Europe/Berlin", "mon,tue,wed,thu,fri 08:00-18:00")
    assert now["in_service_hours"] is True
    await story.service.advance(to=START + 5 * HOUR)
    assert (await story.http.get(f"/v1/contracts/{story.contract}/plan")).json()["in_service_hours"] is False


@pytest.mark.parametrize(
    "change",
    [
        {"fee": Money(1, "EUR")},
        {"term_months": 12},
        {"operations": frozenset({"health-check"})},
        {"local_backup_every_hours": 12},
    ],
    ids=str,
)
async def test_a_version_that_somebody_bought_never_changes(story: Story, publish: Any, change: dict[str, Any]) -> None:
    """Given a bought version, When the file says something else, Then start-up names it and nobody buys it again."""
    await story.accepted()
    publish(replace(SOLD, **change))
    [line] = await changed(story)
    assert line.startswith(f"catalogue.toml: plan {PLAN}, version 1: somebody bought it with another definition")
    await story.server()
    await story.drafted(server_ids=story.server_ids[1:])
    assert problem(await story.do("accept")) == (500, "UnexpectedFault", None)
    assert await story.status() == "draft"


async def test_a_bought_version_that_is_gone_is_missed_and_a_withdrawn_one_is_not(story: Story, publish: Any) -> None:
    await story.accepted()
    publish(OTHER)
    assert await changed(story) == [f"catalogue.toml: plan {PLAN}, version 1: somebody bought it, and it is gone"]
    publish(WITHDRAWN)
    assert await changed(story) == []


def test_a_plan_with_rarer_backups_than_an_agreement_promises_ends_start_up(
    publish: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(replace(SOLD, local_backup_every_hours=24))
    opening.check_published()
    publish(replace(SOLD, local_backup_every_hours=25))
    with pytest.raises(ValueError, match=f"plans {PLAN}: a backup every 25 h is less often than agreement 2026-1"):
        opening.check_published()
    first = agreements.read_folder(agreements.FOLDER).versions[0]
    generous = replace(first, parameters=replace(first.parameters, local_backup_every_hours=48))
    monkeypatch.setattr(agreements, "published", lambda: Agreements((generous,)))
    opening.check_published()


async def changed(story: Story) -> list[str]:
    """What start-up and the doctor would say."""
    async with story.service.runtime.database.reading() as reader:
        return await opening.changed_since_accepted(reader)
