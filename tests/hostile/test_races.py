"""Who decides at the same moment: one wins, and the others are told by whom or by what they lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from services.backup.gateways.fake_restic import FakeRestic
from services.backup.use_cases import restores
from services.contracts.db import acceptances, catalogue
from services.contracts.db.agreements import published
from services.contracts.domain.agreement import AcceptedText, Language
from services.contracts.domain.contract import Acceptance
from shared.events.backup import RestoreCompleted
from shared.events.contracts import (
    ContractAccepted,
    ContractWithdrawn,
    RenewalRequested,
    StopRequested,
    WorkStarted,
    WorkWithdrawn,
)
from shared.kernel.ids import new_id
from shared.kit.auth import Role
from tests.backup.world import World
from tests.billing.story import Story as Billing
from tests.contracts.stories.work import made_ready
from tests.contracts.story import HOUR, OPENS
from tests.contracts.story import Story as Contracts
from tests.hostile.planted import opened
from tests.infrastructure.postgres import PostgresServer
from tests.kit.test_parked_api import a_parked_event, a_parked_timer, verbs_on_the_trail
from tests.support.service import ServiceUnderTest

FIRST_TIMES = 20
"""Of eight who insert the same row at once, few meet in the moment that counts."""


@pytest.fixture(params=["sqlite", "postgresql"])
async def contracts(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Contracts]:
    async with _fresh("contracts", request, tmp_path) as service:
        yield Contracts(service)


@pytest.fixture(params=["sqlite", "postgresql"])
async def billing(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Billing]:
    async with _fresh("billing", request, tmp_path) as service:
        yield Billing(service)


@pytest.fixture(params=["sqlite", "postgresql"])
async def notify(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ServiceUnderTest]:
    async with _fresh("notify", request, tmp_path) as service:
        yield service


@pytest.fixture(params=["sqlite", "postgresql"])
async def backup(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    restic = FakeRestic()
    async with _fresh("backup", request, tmp_path, restic) as service:
        yield World(service, restic, await service.now())


def _fresh(name: str, request: pytest.FixtureRequest, folder: Path, restic: FakeRestic | None = None) -> Any:
    if request.param == "sqlite":
        return opened(name, folder, None, restic)
    server: PostgresServer = request.getfixturevalue("postgres_server")
    database = f"race_{name}_{new_id().hex}"
    server.create_database(database)
    return opened(name, folder, server.url_for(database), restic)


def _won_and_lost(answers: list[httpx.Response]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    won = [answer.json() for answer in answers if answer.is_success]
    lost = [answer.json() for answer in answers if not answer.is_success]
    assert {problem["status"] for problem in lost} <= {409}, lost
    return won, lost


async def test_two_renewals_at_once_are_one_decision(contracts: Contracts) -> None:
    await contracts.active()
    await contracts.service.advance(to=OPENS)
    won, lost = _won_and_lost(await asyncio.gather(*(contracts.do("renew") for _ in range(8))))
    assert len(won) == 1
    assert {(problem["code"], problem["facts"]["decision"]) for problem in lost} == {("AlreadyDecided", "renew")}
    assert len(await contracts.told(RenewalRequested)) == 1


async def test_of_stopping_and_renewing_at_once_the_loser_is_told_what_won(contracts: Contracts) -> None:
    await contracts.active()
    await contracts.service.advance(to=OPENS)
    verbs = ["stop", "renew"] * 4
    won, lost = _won_and_lost(await asyncio.gather(*(contracts.do(verb) for verb in verbs)))
    [told] = await contracts.told(RenewalRequested, StopRequested)
    decided = "renew" if isinstance(told, RenewalRequested) else "stop"
    assert [answer["window"]["decision"] for answer in won] == [decided]
    assert {(problem["code"], problem["facts"]["decision"]) for problem in lost} == {("AlreadyDecided", decided)}


async def test_of_accepting_and_withdrawing_at_once_either_is_a_clean_story(contracts: Contracts) -> None:
    """Both may win, acceptance first; never is a withdrawn contract accepted."""
    await contracts.drafted()
    verbs = ["accept", "withdraw"] * 4
    answers = await asyncio.gather(*(contracts.do(verb) for verb in verbs))
    _won, lost = _won_and_lost(answers)
    assert await contracts.status() == "withdrawn"
    kinds = [type(fact) for fact in await contracts.told(ContractAccepted, ContractWithdrawn)]
    assert kinds in ([ContractAccepted, ContractWithdrawn], [ContractWithdrawn])
    assert {problem["code"] for problem in lost} == {"IllegalMove", "NothingToWithdraw"}
    assert {problem["facts"]["state"] for problem in lost} <= {"awaiting_payment", "withdrawn"}


async def test_the_first_customers_to_accept_a_text_may_do_so_at_once(contracts: Contracts) -> None:
    contract_id = UUID(await contracts.drafted())
    database, known = contracts.service.runtime.database, published().versions[-1]

    async def accept(version: str) -> None:
        text = AcceptedText(version=version, language=Language.EN, sha256=known.sha256(Language.EN))
        async with database.transaction() as tx:
            acceptance = Acceptance(
                id=new_id(),
                contract_id=contract_id,
                period_index=1,
                text=text,
                accepted_by="ada",
                address="",
                channel="portal",
                accepted_at=tx.now,
            )
            await acceptances.keep(tx, acceptance, known, catalogue.published().plans[0])

    for number in range(FIRST_TIMES):
        await asyncio.gather(*(accept(f"2040-{number}") for _ in range(8)))


async def test_a_work_request_that_three_decide_at_once_has_one_end(contracts: Contracts) -> None:
    await contracts.active()
    body = {
        "operation_code": "health-check",
        "server_id": contracts.server_ids[0],
        "channel": "portal",
    }
    work = (await contracts.http.post(f"/v1/contracts/{contracts.contract}/work-requests", json=body)).json()["id"]
    now = await contracts.service.now()
    slot = {
        "starts_at": now.isoformat(),
        "ends_at": (now + HOUR).isoformat(),
        "place": "remote",
        "technician": "dev-technician",
    }
    for verb, sent in (("assess", {"rehearsed": False}), ("accept", None), ("schedule", slot)):
        answer = await contracts.technician.post(f"/v1/work-requests/{work}/{verb}", json=sent)
        assert answer.status_code == 200, answer.text
    await made_ready(contracts)
    answers = await asyncio.gather(
        *(
            client.post(f"/v1/work-requests/{work}/{verb}", json=sent)
            for client, verb, sent in [
                (contracts.technician, "start", None),
                (contracts.http, "withdraw", {"channel": "portal"}),
            ]
            * 3
        )
    )
    won, lost = _won_and_lost(answers)
    [told] = await contracts.told(WorkStarted, WorkWithdrawn)
    assert len(won) == 1
    assert won[0]["status"] == ("in_progress" if isinstance(told, WorkStarted) else "withdrawn")
    assert {problem["facts"]["state"] for problem in lost} == {won[0]["status"]}


async def test_of_approving_and_rejecting_at_once_by_many_one_verdict_stands(billing: Billing) -> None:
    payment = await billing.reported(await billing.issued())
    one, other = billing.finance, billing.other_finance
    calls = [billing.approve(payment, one), billing.reject(payment, other)] * 1
    calls += [billing.reject(payment, one), billing.approve(payment, other)]
    won, lost = _won_and_lost(await asyncio.gather(*calls))
    [audited] = await billing.announced("payment-audited")
    assert [answer["status"] for answer in won] == [audited.verdict]
    assert {problem["facts"]["state"] for problem in lost} == {audited.verdict}


async def test_of_eight_profiles_set_over_one_version_at_once_one_is_kept(billing: Billing) -> None:
    invoice = await billing.issued()
    client = billing.customer(invoice["customer_id"])
    path = f"/v1/customers/{invoice['customer_id']}/billing-profile"
    there = await client.get(path)
    bodies = [
        {"legal_name": f"Name {number}", "address": there.json()["address"], "channel": "portal"} for number in range(8)
    ]
    over = {"if-match": there.headers["etag"]}
    won, lost = _won_and_lost(
        list(await asyncio.gather(*(client.put(path, json=body, headers=over) for body in bodies)))
    )
    assert len(won) == 1
    assert {problem["code"] for problem in lost} == {"ProfileChanged"}
    assert (await client.get(path)).json()["legal_name"] == won[0]["legal_name"]


async def test_of_ending_a_link_by_many_at_once_one_ends_it(notify: ServiceUnderTest) -> None:
    admin, customer_id = notify.as_role(Role.ADMIN), new_id()
    partner = (await admin.post("/v1/partners", json={"name": "Alpha Audit"})).json()["id"]
    body = {"partner_id": partner, "customer_id": str(customer_id), "channel": "portal"}
    customer = notify.as_role(Role.CUSTOMER, customer_id=customer_id)
    link = (await customer.post("/v1/partner-links", json=body)).json()["id"]
    path = f"/v1/partner-links/{link}/end"
    won, lost = _won_and_lost(
        list(await asyncio.gather(*(client.post(path, json={"channel": "portal"}) for client in [admin, customer] * 4)))
    )
    assert len(won) == 1
    assert {(problem["code"], problem["facts"]["state"]) for problem in lost} == {("IllegalMove", "ended")}


async def test_of_retrying_and_skipping_a_parked_event_at_once_a_skip_is_final(contracts: Contracts) -> None:
    """A retry before it is done over by the skip; one after it is told that the event is skipped."""
    service = contracts.service
    parked, admin = await a_parked_event(service), service.as_role(Role.ADMIN)
    answers = await asyncio.gather(
        *(
            admin.post(f"/v1/parked/events/{parked}/{verb}", json=body)
            for verb, body in [("retry", {}), ("skip", {"reason": "sent by mistake"})] * 4
        )
    )
    won, lost = _won_and_lost(answers)
    assert [answer["status"] for answer in won].count("skipped") == 1
    assert {answer["status"] for answer in won} <= {"waiting", "skipped"}
    assert {(problem["code"], problem["facts"]["state"]) for problem in lost} == {("NotBlocking", "skipped")}
    assert (await admin.get(f"/v1/parked/events/{parked}")).json()["status"] == "skipped"
    verbs = await verbs_on_the_trail(service)
    assert verbs[-1] == "skip-event"
    assert len(verbs) == len(won)


async def test_a_parked_timer_that_many_retry_at_once_is_retried_by_one(contracts: Contracts) -> None:
    service = contracts.service
    timer, admin = await a_parked_timer(service), service.as_role(Role.ADMIN)
    answers = await asyncio.gather(*(admin.post(f"/v1/parked/timers/{timer}/retry") for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [204] + [404] * 7
    assert await verbs_on_the_trail(service) == ["retry-timer"]


async def test_two_restores_at_once_performed_by_two_replicas_each_come_back_once(backup: World) -> None:
    await backup.begin()
    asked = await asyncio.gather(backup.ask_restore(), backup.ask_restore())
    ids = {UUID(answer.json()["id"]) for answer in asked}
    assert len(ids) == 2
    runtime = backup.service.runtime
    await asyncio.gather(*(restores.perform_restore(runtime, each, attempt=1) for each in ids for _replica in range(3)))
    told = await backup.told(RestoreCompleted)
    assert sorted(fact.restore_id for fact in told) == sorted(ids)
    content = {(await backup.customer.get(f"/v1/restores/{each}/content")).content for each in ids}
    assert content == {b"colour=blue\n"}
