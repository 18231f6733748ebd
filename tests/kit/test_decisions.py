"""A decision cites its clause and version, keeps its facts, and is read by those it concerns."""

from uuid import UUID

import pytest
import sqlalchemy as sa

from shared.kernel.ids import new_id
from shared.kernel.judgement import Facts, Verdict
from shared.kit import decisions
from shared.kit.auth import Role
from shared.kit.tables import decisions as kept
from tests.kit.support import judgements
from tests.support.service import ServiceUnderTest


@judgements.on("payment.audit")
def auditing(facts: Facts, _parameters: Facts) -> Verdict:
    return Verdict(facts["found"], "3.2")


@judgements.on("extension.ask")
def extending(facts: Facts, parameters: Facts) -> Verdict:
    return Verdict("extended" if facts["days"] <= parameters["longest_days"] else "refused", "3.5")


FOUND = {"found": "approved", "amount": {"minor": 11900, "currency": "EUR"}}


async def a_decision(service: ServiceUnderTest, customer: UUID, *, subject: UUID | None = None) -> str:
    subject = subject or new_id()
    async with service.runtime.database.transaction() as tx:
        tx.actor = "finance-ann"
        await decisions.judge(
            tx,
            auditing,
            subject_id=subject,
            customer_id=customer,
            agreement_version="2030-1",
            parameters={},
            facts=FOUND,
        )
    listed = await service.as_role(Role.FINANCE).get("/v1/decisions", params={"subject_id": str(subject)})
    newest: str = listed.json()["items"][-1]["id"]
    return newest


async def test_a_decision_is_read_back_with_what_it_was_made_from(service: ServiceUnderTest) -> None:
    customer = new_id()
    decision = await a_decision(service, customer)
    answer = await service.as_role(Role.CUSTOMER, customer_id=customer).get(f"/v1/decisions/{decision}")
    body = answer.json()
    assert (body["verdict"], body["clause"], body["agreement_version"]) == ("approved", "3.2", "2030-1")
    assert (body["decided_by"], body["facts"]) == ("finance-ann", FOUND)


async def test_a_judged_decision_keeps_the_parameters_that_its_rule_looked_at(service: ServiceUnderTest) -> None:
    customer = new_id()
    async with service.runtime.database.transaction() as tx:
        tx.actor = "support-ben"
        verdict = await decisions.judge(
            tx,
            extending,
            subject_id=new_id(),
            customer_id=customer,
            agreement_version="2030-1",
            parameters={"longest_days": 30, "window_days": 3},
            facts={"days": 31},
        )
    assert verdict == Verdict("refused", "3.5")
    [kept] = (await service.as_role(Role.CUSTOMER, customer_id=customer).get("/v1/decisions")).json()["items"]
    assert (kept["kind"], kept["verdict"], kept["clause"]) == ("extension.ask", "refused", "3.5")
    assert (kept["facts"], kept["parameters"]) == ({"days": 31}, {"longest_days": 30})


async def test_another_customers_decision_is_not_there(service: ServiceUnderTest) -> None:
    decision = await a_decision(service, new_id())
    stranger = service.as_role(Role.CUSTOMER, customer_id=new_id())
    found = await stranger.get(f"/v1/decisions/{decision}")
    nowhere = await stranger.get(f"/v1/decisions/{new_id()}")
    assert found.status_code == nowhere.status_code == 404
    assert found.json()["detail"] == nowhere.json()["detail"]
    assert (await stranger.get("/v1/decisions")).json()["items"] == []


async def test_a_customer_without_an_id_sees_nothing(service: ServiceUnderTest) -> None:
    await a_decision(service, new_id())
    assert (await service.as_role(Role.CUSTOMER).get("/v1/decisions")).json()["items"] == []


async def test_staff_lists_the_decisions_of_one_subject_in_order(service: ServiceUnderTest) -> None:
    subject, customer = new_id(), new_id()
    made = [await a_decision(service, customer, subject=subject) for _ in range(3)]
    await a_decision(service, customer)
    client = service.as_role(Role.FINANCE)
    first = (await client.get("/v1/decisions", params={"subject_id": str(subject), "limit": 2})).json()
    rest = (
        await client.get("/v1/decisions", params={"subject_id": str(subject), "cursor": first["next_cursor"]})
    ).json()
    assert [item["id"] for item in first["items"] + rest["items"]] == made
    assert rest["next_cursor"] is None


async def test_a_service_without_the_agreement_says_where_its_clause_is_read(sqlite_service: ServiceUnderTest) -> None:
    decision = await a_decision(sqlite_service, new_id())
    explained = (await sqlite_service.as_role(Role.SUPPORT).get(f"/v1/decisions/{decision}")).json()
    assert explained["clause_accepted"] == {
        "number": "3.2",
        "agreement_version": "2030-1",
        "read_at": "/contracts/v1/agreements/2030-1/clauses/3.2",
        "language": None,
        "title": None,
        "text": None,
    }


@pytest.mark.parametrize(
    ("changed", "outcome", "again"),
    [
        ({}, "same", {"word": "approved", "clause": "3.2"}),
        ({"facts": {"found": "rejected"}}, "different", {"word": "rejected", "clause": "3.2"}),
        ({"facts": {}}, "different", None),
        ({"kind": "payment-audit"}, "different", None),
        ({"kind": "payment-audit", "parameters": None}, "unjudged", None),
    ],
)
async def test_a_decision_is_judged_again_by_what_was_kept(
    sqlite_service: ServiceUnderTest, changed: dict[str, object], outcome: str, again: object
) -> None:
    decision = await a_decision(sqlite_service, customer := new_id())
    async with sqlite_service.runtime.database.transaction() as tx:
        if changed:
            await tx.execute(sa.update(kept).values(**changed))
    mine = sqlite_service.as_role(Role.CUSTOMER, customer_id=customer)
    replayed = (await mine.get(f"/v1/decisions/{decision}/replay")).json()
    assert (replayed["outcome"], replayed["again"]) == (outcome, again)
    assert replayed["kept"] == {"word": "approved", "clause": "3.2"}
    assert (replayed["trouble"] is None) == (again is not None)
    async with sqlite_service.runtime.database.transaction() as tx:
        await tx.execute(sa.delete(kept))  # what a test spoilt is not judged once more at its end


async def test_what_happened_against_its_rule_is_not_kept(sqlite_service: ServiceUnderTest) -> None:
    customer = new_id()
    with pytest.raises(decisions.JudgedOtherwise, match=r"extension\.ask: extended happened, the rule says refused"):
        async with sqlite_service.runtime.database.transaction() as tx:
            await decisions.judge(
                tx,
                extending,
                subject_id=new_id(),
                customer_id=customer,
                agreement_version="2030-1",
                parameters={"longest_days": 30},
                facts={"days": 31},
                happened="extended",
            )
    listed = await sqlite_service.as_role(Role.CUSTOMER, customer_id=customer).get("/v1/decisions")
    assert listed.json()["items"] == []


@pytest.mark.parametrize("role", [Role.PARTNER, Role.SERVICE])
async def test_partners_and_services_do_not_read_decisions(sqlite_service: ServiceUnderTest, role: Role) -> None:
    assert (await sqlite_service.as_role(role).get("/v1/decisions")).status_code == 403
