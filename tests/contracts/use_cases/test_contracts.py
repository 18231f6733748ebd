"""Draft, accept, pay, withdraw."""

import asyncio
from dataclasses import replace

import pytest
import sqlalchemy as sa

from services.contracts.db import agreements
from services.contracts.db.tables import acceptances, accepted_texts, contracts
from services.contracts.domain.agreement import Agreements
from shared.events.contracts import ContractAccepted, ContractWithdrawn, ServiceRegistered
from shared.kit.auth import Role
from shared.kit.tables import audit_rows
from tests.contracts.story import END, HOUR, OPENS, START, Story, problem


async def test_a_draft_names_the_agreement_offered_and_keeps_plan_version_and_fee(story: Story) -> None:
    await story.drafted()
    shown = await story.shown()
    assert shown["status"] == "draft"
    assert shown["agreement_version"] == "2026-1"
    assert shown["plan"]["fee"] == {"minor": 24900, "currency": "EUR", "text": "249.00 EUR"}
    assert (shown["plan"]["version"], shown["zone"], shown["window"]["opens_at"]) == (1, "Europe/Berlin", None)
    assert await story.names() == []


async def test_accepting_the_exact_text_asks_billing_for_the_fee(story: Story) -> None:
    await story.drafted(paper_bill=True)
    answer = await story.do("accept", await story.offered("zh"))
    assert (answer.status_code, answer.json()["status"]) == (200, "awaiting_payment")
    [fact] = await story.told(ContractAccepted)
    assert (fact.agreement_version, fact.language, fact.plan_code) == ("2026-1", "zh", "care-monthly-eur")
    assert (fact.fee.minor, fact.mailing_fee.minor, fact.mailing_fee.currency) == (24900, 500, "EUR")
    assert (fact.paper_bill, fact.term_months, fact.period_index) == (True, 1, 1)
    assert [str(server) for server in fact.server_ids] == story.server_ids
    assert await story.decisions() == [("contract.accept", "accepted", "3.1", "2026-1")]


async def test_acceptance_keeps_who_when_from_where_and_the_very_text(story: Story) -> None:
    await story.drafted()
    body = await story.offered("zh")
    await story.do("accept", body)
    async with story.service.runtime.database.reading() as reader:
        row = await reader.row(sa.select(acceptances))
        kept = await reader.row(sa.select(accepted_texts))
    assert row is not None
    assert kept is not None
    assert (row.accepted_by, row.address, row.language) == ("dev-customer", "127.0.0.1", "zh")
    assert (row.text_sha256, row.agreement_version, row.channel) == (body["text_sha256"], "2026-1", "portal")
    assert kept.text == (await story.http.get("/v1/agreements/current?language=zh")).json()["text"]


async def test_the_address_of_an_acceptance_is_in_no_fact_decision_or_audit_row(story: Story) -> None:
    await story.accepted()
    async with story.service.runtime.database.reading() as reader:
        audit = str([row.event for row in await reader.rows(sa.select(audit_rows))])
    decisions = (await story.http.get("/v1/decisions")).text
    facts = str([envelope.data for envelope in await story.service.envelopes()])
    for place in (audit, decisions, facts):
        assert "127.0.0.1" not in place
        assert "Lovelace" not in place


@pytest.mark.parametrize(
    "change",
    [{"text_sha256": "0" * 64}, {"agreement_version": "2025-7"}, {"language": "zh"}],
)
async def test_another_text_than_the_one_offered_is_refused_and_nothing_is_stored(
    story: Story, change: dict[str, str]
) -> None:
    await story.drafted()
    answer = await story.do("accept", {**await story.offered(), **change})
    assert problem(answer) == (409, "AgreementTextDiffers", "3.1")
    assert answer.json()["agreement_version"] == "2026-1"
    assert await story.status() == "draft"
    assert await story.service.scalar(sa.select(sa.func.count()).select_from(acceptances)) == 0
    assert await story.names() == []


async def test_a_version_that_was_edited_after_somebody_accepted_it_is_not_accepted_again(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    await story.accepted()
    first = agreements.published().version("2026-1")
    edited = replace(first, texts={language: f"{text}!" for language, text in first.texts.items()})
    monkeypatch.setattr(agreements, "published", lambda: Agreements((edited,)))
    await story.server()
    await story.drafted(server_ids=story.server_ids[1:])
    assert problem(await story.do("accept")) == (500, "UnexpectedFault", None)
    assert await story.status() == "draft"


async def test_a_contract_is_accepted_once_also_when_two_accept_at_once(story: Story) -> None:
    await story.drafted()
    answers = await asyncio.gather(*(story.do("accept") for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    assert await story.names() == ["ContractAccepted"]


async def test_the_same_key_gives_the_same_answer_once(story: Story) -> None:
    await story.drafted()
    body = await story.offered()
    first = await story.do("accept", body, headers={"idempotency-key": "k-1"})
    second = await story.do("accept", body, headers={"idempotency-key": "k-1"})
    assert (first.status_code, first.json()) == (second.status_code, second.json())
    assert await story.names() == ["ContractAccepted"]


async def test_support_may_enter_what_a_customer_asked_for_in_writing(story: Story) -> None:
    await story.drafted()
    body = {**await story.offered(), "channel": "email"}
    answer = await story.support.post(f"/v1/contracts/{story.contract}/accept", json=body)
    assert answer.status_code == 200
    assert await story.service.scalar(sa.select(acceptances.c.accepted_by)) == "dev-support"


@pytest.mark.parametrize("verb", ["accept", "withdraw", "renew", "stop"])
async def test_an_oral_request_is_refused_whatever_it_asks_for(story: Story, verb: str) -> None:
    await story.active()
    body = {**(await story.offered() if verb in {"accept", "renew"} else {}), "channel": "phone"}
    answer = await story.do(verb, body)
    assert problem(answer) == (422, "OralRequest", "3.1")
    assert answer.json()["errors"][0]["field"] == "channel"


async def test_a_plan_outside_the_catalogue_is_refused(story: Story) -> None:
    await story.registered_customer()
    await story.server()
    answer = await story.http.post("/v1/contracts", json=story.draft_body(plan_code="made-to-measure"))
    assert problem(answer) == (422, "OutsideCatalogue", "3.1")
    assert answer.json()["agreement_version"] == "2026-1"
    assert await story.service.scalar(sa.select(sa.func.count()).select_from(contracts)) == 0


async def test_a_server_is_in_one_live_contract_at_a_time(story: Story) -> None:
    await story.drafted()
    answer = await story.http.post("/v1/contracts", json=story.draft_body())
    assert problem(answer) == (409, "ServerInAnotherContract", None)
    await story.do("withdraw")
    assert (await story.http.post("/v1/contracts", json=story.draft_body())).status_code == 201


async def test_two_drafts_for_one_server_at_once_have_one_winner(story: Story) -> None:
    await story.registered_customer()
    await story.server()
    answers = await asyncio.gather(*(story.http.post("/v1/contracts", json=story.draft_body()) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]


async def test_a_contract_is_for_one_to_fifty_different_servers_of_its_customer(story: Story) -> None:
    await story.registered_customer()
    server = await story.server()
    stranger = Story(story.service)
    await stranger.registered_customer()
    foreign = await stranger.server()
    for server_ids in ([], [server, server], [server] * 51):
        answer = await story.http.post("/v1/contracts", json=story.draft_body(server_ids=server_ids))
        assert problem(answer) == (422, "MalformedRequest", None)
    answer = await story.http.post("/v1/contracts", json=story.draft_body(server_ids=[server, foreign]))
    assert problem(answer) == (404, "NoSuchServer", None)


@pytest.mark.parametrize("accepted", [True, False])
async def test_a_customer_withdraws_before_registration(story: Story, accepted: bool) -> None:
    await (story.accepted() if accepted else story.drafted())
    assert (await story.do("withdraw")).json()["status"] == "withdrawn"
    assert len(await story.told(ContractWithdrawn)) == 1
    assert problem(await story.do("accept")) == (409, "IllegalMove", None)
    assert problem(await story.do("withdraw")) == (409, "NothingToWithdraw", "3.2")


async def test_a_registered_service_is_not_withdrawn(story: Story) -> None:
    await story.active()
    answer = await story.do("withdraw")
    assert problem(answer) == (409, "NothingToWithdraw", "3.2")
    assert answer.json()["facts"] == {"state": "before_window"}


async def test_an_approved_payment_registers_the_service_from_the_audit(story: Story) -> None:
    await story.active()
    [fact] = await story.told(ServiceRegistered)
    assert (fact.starts_at, fact.ends_at, fact.zone) == (START, END, "Europe/Berlin")
    assert (fact.local_backup_every_hours, fact.restore_target_hours, fact.retention_days) == (24, 4, 30)
    assert [str(server) for server in fact.server_ids] == story.server_ids
    shown = await story.shown()
    assert (shown["status"], shown["current_period_index"]) == ("active", 1)
    assert [(period["index"], period["status"]) for period in shown["periods"]] == [(1, "paid")]
    assert shown["window"]["opens_at"] == OPENS.isoformat().replace("+00:00", "Z")
    assert ("service.register", "registered", "3.2", "2026-1") in await story.decisions()


async def test_a_payment_that_is_rejected_or_not_enough_registers_nothing(story: Story) -> None:
    await story.accepted()
    await story.service.advance(to=START)
    first = await story.reports(1, reported_at=START)
    await story.audits(first, 1, reported_at=START, audited_at=START, approved=False)
    second = await story.reports(1, reported_at=START)
    await story.audits(second, 1, reported_at=START, audited_at=START, covered=False)
    assert await story.status() == "awaiting_payment"
    assert await story.told(ServiceRegistered) == []
    await story.pays(1, reported_at=START, audited_at=START + HOUR)
    [fact] = await story.told(ServiceRegistered)
    assert fact.starts_at == START + HOUR


async def test_an_audit_heard_before_its_report_or_twice_registers_once(story: Story) -> None:
    await story.accepted()
    await story.service.advance(to=START)
    payment = await story.pays(1, reported_at=START - HOUR, audited_at=START)
    await story.audits(payment, 1, reported_at=START - HOUR, audited_at=START)
    await story.reports(1, reported_at=START - HOUR, payment_id=payment)
    assert len(await story.told(ServiceRegistered)) == 1
    assert await story.status() == "active"


async def test_a_payment_audited_after_withdrawal_registers_nothing(story: Story) -> None:
    await story.accepted()
    await story.do("withdraw")
    await story.pays(1, reported_at=START - HOUR, audited_at=START)
    assert await story.status() == "withdrawn"
    assert await story.told(ServiceRegistered) == []


async def test_another_customers_contract_is_not_found(story: Story) -> None:
    await story.active()
    stranger = Story(story.service)
    await stranger.registered_customer()
    stranger.contract = story.contract
    missing = Story(story.service)
    missing.http = stranger.http
    missing.contract = str(story.customer_id)
    for other in (stranger, missing):
        for verb in ("accept", "withdraw", "renew", "stop"):
            assert problem(await other.do(verb)) == (404, "NoSuchContract", None)
        for path in ("", "/window"):
            answer = await other.http.get(f"/v1/contracts/{other.contract}{path}")
            assert problem(answer) == (404, "NoSuchContract", None)
    listed = await stranger.http.get("/v1/contracts")
    assert listed.json()["items"] == []
    filtered = await stranger.http.get("/v1/contracts", params={"customer_id": str(story.customer_id)})
    assert filtered.json()["items"] == []


async def test_contracts_are_listed_in_pages_with_filters(story: Story) -> None:
    await story.active()
    await story.server()
    second = await story.drafted(server_ids=story.server_ids[1:])
    page = (await story.http.get("/v1/contracts?limit=1")).json()
    rest = (await story.http.get("/v1/contracts", params={"limit": 1, "cursor": page["next_cursor"]})).json()
    assert [item["status"] for item in page["items"] + rest["items"]] == ["active", "draft"]
    assert rest["next_cursor"] is None
    drafts = (await story.support.get("/v1/contracts?status=draft")).json()["items"]
    assert [item["id"] for item in drafts] == [second]


@pytest.mark.parametrize("role", [Role.PARTNER, Role.FINANCE, Role.TECHNICIAN])
async def test_only_the_customer_and_support_speak_for_a_contract(story: Story, role: Role) -> None:
    await story.drafted()
    body = await story.offered()
    answer = await story.service.as_role(role).post(f"/v1/contracts/{story.contract}/accept", json=body)
    assert problem(answer) == (403, "Forbidden", None)
    answer = await story.service.anonymous().get("/v1/contracts")
    assert problem(answer) == (401, "Unauthenticated", None)
