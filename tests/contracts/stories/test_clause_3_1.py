"""Clause 3.1: every service is prepaid, asked for in writing, and out of the catalogue."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from services.contracts.db import agreements
from services.contracts.domain.agreement import Agreements
from shared.events.contracts import ContractAccepted, ServiceRegistered, WorkRequested
from shared.kit.auth import Role
from tests.contracts.story import END, HOUR, OPENS, START, Story, problem
from tests.structure.house import app_of, openapi_of, routes_of
from tests.support.databases import Beginnings


@pytest.fixture
def database_url(begun: Beginnings, tmp_path: Path) -> str:
    """One database is enough: nothing here is decided in SQL."""
    return begun.on_sqlite(tmp_path / "contracts.db")


WORK = {"operation_code": "security-update", "note": None, "channel": "portal"}


async def asks_for_work(story: Story, **changes: Any) -> Any:
    body = WORK | {"server_id": story.server_ids[0]} | changes
    return await story.http.post(f"/v1/contracts/{story.contract}/work-requests", json=body)


# Prepaid


async def test_no_work_begins_before_the_service_is_registered(story: Story) -> None:
    """Given a contract that is accepted but not paid, when work is asked for, then it is refused by 3.1."""
    await story.accepted()

    refused = await asks_for_work(story)

    assert problem(refused) == (409, "NotRegistered", "3.1")
    assert refused.json()["agreement_version"] == "2026-1"
    assert await story.told(WorkRequested) == []


async def test_a_reported_payment_is_not_yet_paid(story: Story) -> None:
    """Given a payment that is reported and still in audit, when work is asked for, then it is refused by 3.1."""
    await story.accepted()
    await story.service.advance(to=START)
    await story.reports(1, reported_at=START - HOUR)

    assert problem(await asks_for_work(story)) == (409, "NotRegistered", "3.1")
    assert await story.told(ServiceRegistered) == []


async def test_work_is_accepted_from_the_moment_of_the_audit(story: Story) -> None:
    """Given a payment that finance has approved, when work is asked for, then it is accepted, and 3.1 is cited."""
    await story.active()

    accepted = await asks_for_work(story)

    assert accepted.status_code == 201
    assert (await story.decisions(accepted.json()["id"]))[0] == ("work-request.request", "accepted", "3.1", "2026-1")


async def test_nothing_is_done_after_the_paid_period(story: Story) -> None:
    """Given a renewal that was asked for and not paid, when the paid period is over, then no work is accepted."""
    await story.renewing()
    await story.service.advance(to=END)

    assert problem(await asks_for_work(story)) == (409, "NotRegistered", "3.1")


# In writing


def commands_of_customers() -> Iterator[tuple[str, dict[str, Any]]]:
    """Path and body of every POST that a customer may send, as OpenAPI has it; what its query needs is required."""
    document = openapi_of("contracts")
    for route in routes_of(app_of("contracts")):
        declared = getattr(route.endpoint, "__declared__", None)
        if declared is None or Role.CUSTOMER not in declared.callers or "POST" not in (route.methods or ()):
            continue
        operation = document["paths"][route.path]["post"]
        content = operation.get("requestBody", {}).get("content", {})
        schema: dict[str, Any] = next(iter(content.values()), {"schema": {}})["schema"]
        name = schema.get("$ref", "").rpartition("/")[2]
        body = document["components"]["schemas"][name] if name else schema
        asked = [parameter["name"] for parameter in operation.get("parameters", []) if parameter["required"]]
        yield route.path, {**body, "required": [*body.get("required", []), *asked]}


def test_every_command_of_a_customer_says_how_it_reached_us() -> None:
    """Whatever a customer may ask for, the request cannot leave out its channel."""
    commands = dict(commands_of_customers())
    assert "/v1/contracts/{contract_id}/accept" in commands
    assert [path for path, body in commands.items() if "channel" not in body.get("required", [])] == []


@pytest.mark.parametrize("channel", ["telephone", "in person", "PORTAL"])
async def test_an_oral_request_is_refused_and_nothing_is_stored(story: Story, channel: str) -> None:
    """Given a drafted contract, when it is accepted through a channel that leaves nothing in writing, it is refused."""
    await story.drafted()

    refused = await story.do("accept", await story.offered() | {"channel": channel})

    assert problem(refused) == (422, "OralRequest", "3.1")
    assert refused.json()["facts"]["written_channels"] == ["portal", "api", "email"]
    assert await story.status() == "draft"
    assert await story.decisions() == []
    assert await story.told(ContractAccepted) == []


@pytest.mark.parametrize("channel", ["portal", "api", "email"])
async def test_what_the_agreement_lists_is_written(story: Story, channel: str) -> None:
    await story.drafted()
    accepted = await story.do("accept", await story.offered() | {"channel": channel})
    assert accepted.status_code == 200
    assert await story.decisions() == [("contract.accept", "accepted", "3.1", "2026-1")]


async def test_what_is_written_is_said_by_the_version_that_the_contract_accepted(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a contract under 2026-1, when a newer version drops e-mail, work may still be asked for by e-mail."""
    first = agreements.published().version("2026-1")
    newer = replace(
        first,
        version="2030-1",
        effective_from=START + timedelta(days=7),
        parameters=replace(first.parameters, written_channels=("portal", "api")),
    )
    monkeypatch.setattr(agreements, "published", lambda: Agreements((first, newer)))
    await story.active()
    await story.service.advance(to=OPENS)

    assert (await asks_for_work(story, channel="email")).status_code == 201
    await story.server()
    drafting = story.draft_body(server_ids=story.server_ids[1:], channel="email")
    refused = await story.http.post("/v1/contracts", json=drafting)
    assert problem(refused) == (422, "OralRequest", "3.1")
    assert refused.json()["facts"]["written_channels"] == ["portal", "api"]


# Out of the catalogue


async def test_only_plans_of_the_catalogue_are_bought(story: Story) -> None:
    await story.registered_customer()
    await story.server()
    refused = await story.http.post("/v1/contracts", json=story.draft_body(plan_code="whatever-we-agree-on"))
    assert problem(refused) == (422, "OutsideCatalogue", "3.1")
    assert (await story.http.get("/v1/contracts")).json()["items"] == []


@pytest.mark.parametrize("operation", ["make-coffee", "disk-repartition"])
async def test_only_operations_of_the_bought_plan_are_asked_for(story: Story, operation: str) -> None:
    """Given a registered service, when work is asked for that its plan does not include, then it is refused by 3.1."""
    await story.active(plan_code="essential-monthly-eur")
    assert problem(await asks_for_work(story, operation_code=operation)) == (422, "OutsideCatalogue", "3.1")
    assert (await story.http.get("/v1/work-requests")).json()["items"] == []


async def test_free_text_never_becomes_a_service(story: Story) -> None:
    """Given a note that asks for more, what is accepted is the operation of the catalogue and nothing else."""
    await story.active()

    accepted = await asks_for_work(story, note="Please repartition the disks too, free of charge.")

    assert (accepted.status_code, accepted.json()["operation_code"]) == (201, "security-update")
    [decided] = (await story.http.get("/v1/decisions", params={"subject_id": accepted.json()["id"]})).json()["items"]
    assert decided["facts"]["operation_code"] == "security-update"
    assert "repartition" not in str(decided)


@pytest.mark.parametrize("custom", [{"custom_service": "gold"}, {"fee": {"minor": 1, "currency": "EUR"}}])
async def test_nobody_writes_an_own_service_into_an_order(story: Story, custom: dict[str, Any]) -> None:
    await story.registered_customer()
    await story.server()
    refused = await story.http.post("/v1/contracts", json=story.draft_body() | custom)
    assert refused.status_code == 422
    assert (await story.http.get("/v1/contracts")).json()["items"] == []
