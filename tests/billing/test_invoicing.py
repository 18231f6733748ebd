"""Invoices: one per period, gapless numbers, tax by jurisdiction, and what ends them, in any order."""

from __future__ import annotations

import asyncio
import itertools
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from services.billing.consumers import bill_first_period
from services.billing.db.tables import invoices
from shared.events.contracts import RenewalRefused, ServiceExtended, ServiceRenewed, StopRequested
from shared.kernel.ids import new_id
from tests.billing.story import (
    FRENCH_BUSINESS,
    GERMAN,
    NOON,
    Story,
    a_contract,
    a_renewal,
    a_told,
    a_withdrawal,
    an_expiry,
)


class Crash(Exception):
    """Something went wrong after the number was taken."""


async def test_a_contract_told_twice_is_billed_once(story: Story) -> None:
    contract = a_contract()
    invoice = await story.issued(contract)
    await story.service.tell(contract)

    assert (await story.invoice_of(contract))["id"] == invoice["id"]
    assert len(await story.announced("invoice-issued")) == 1


async def test_profile_and_contract_at_once_always_end_in_an_issued_invoice(story: Story) -> None:
    contracts = [a_contract() for _ in range(6)]

    await asyncio.gather(
        *(story.service.tell(contract) for contract in contracts),
        *(
            story.support.put(f"/v1/customers/{contract.customer_id}/billing-profile", json=GERMAN)
            for contract in contracts
        ),
    )

    assert [(await story.invoice_of(contract))["status"] for contract in contracts] == ["issued"] * 6


async def test_numbers_are_gapless_under_concurrent_issue_and_rollback(story: Story) -> None:
    contracts = [a_contract() for _ in range(30)]
    for contract in contracts:
        answer = await story.support.put(f"/v1/customers/{contract.customer_id}/billing-profile", json=GERMAN)
        assert answer.status_code == 200

    async def issue(position: int) -> None:
        if position % 3 == 0:
            with pytest.raises(Crash):
                await _tell_and_crash(story, contracts[position])
        else:
            await story.service.tell(contracts[position])

    await asyncio.gather(*(issue(position) for position in range(30)))

    async with story.service.runtime.database.reading() as reader:
        rows = await reader.rows(sa.select(invoices.c.sequence).order_by(invoices.c.sequence))
    assert [row.sequence for row in rows] == list(range(1, 21))
    numbers = sorted(fact.number[-6:] for fact in await story.announced("invoice-issued"))
    assert numbers == [f"{number:06d}" for number in range(1, 21)]


async def _tell_and_crash(story: Story, contract: Any) -> None:
    async with story.service.runtime.database.transaction() as tx:
        await bill_first_period(tx, contract, a_told(contract))
        raise Crash


async def test_numbers_begin_anew_with_the_sellers_year(story: Story) -> None:
    now = await story.service.now()
    await story.issued()
    # 23:30 in London is already the next year in Berlin.
    await story.service.advance(to=datetime(now.year, 12, 31, 23, 30, tzinfo=now.tzinfo))

    invoice = await story.issued()

    assert (invoice["number"], invoice["issued_on"]) == (f"MS-{now.year + 1}-000001", f"{now.year + 1}-01-01")


JURISDICTIONS = [
    ("DE", None, False, "S", 1_900, None),
    ("DE", "DE136695976", False, "S", 1_900, None),
    ("DE", None, True, "E", 0, "Exempt"),
    ("FR", "FR40303265045", False, "AE", 0, "Reverse charge"),
    ("FR", None, False, "S", 2_000, None),
    ("CN", None, False, "G", 0, "abroad"),
    ("BR", None, False, "O", 0, "Outside the scope"),
]


async def test_tax_follows_the_customers_jurisdiction(story: Story) -> None:
    for country, tax_id, exempt, category, tax, note in JURISDICTIONS:
        contract = a_contract(paper_bill=True)
        profile: dict[str, Any] = {**GERMAN, "address": {**GERMAN["address"], "country": country}, "tax_id": tax_id}
        if exempt:
            profile["exemption"] = {"certificate_reference": "Z-1"}
        await story.finance.put(f"/v1/customers/{contract.customer_id}/billing-profile", json=profile)
        await story.service.tell(contract)

        invoice = await story.invoice_of(contract)

        assert {line["category"] for line in invoice["lines"]} == {category}
        assert [line["kind"] for line in invoice["lines"]] == ["fee", "mailing", "tax", "tax"]
        assert invoice["lines"][2]["amount"]["minor"] == tax
        assert invoice["total"]["minor"] == sum(line["amount"]["minor"] for line in invoice["lines"])
        assert [note in text for text in invoice["notes"]] == ([True] if note else [])
        assert ("certificate" in invoice["tax_proof"]) == exempt


async def test_a_customer_cannot_exempt_itself_from_tax(story: Story) -> None:
    customer_id = new_id()
    own = story.customer(customer_id)
    exempt = {**GERMAN, "exemption": {"certificate_reference": "mine"}}

    refused = await own.put(f"/v1/customers/{customer_id}/billing-profile", json=exempt)

    assert (refused.status_code, refused.json()["code"], refused.json()["clause"]) == (
        403,
        "ExemptionByFinanceOnly",
        "3.6",
    )
    assert (await own.get(f"/v1/customers/{customer_id}/billing-profile")).status_code == 404
    await story.finance.put(f"/v1/customers/{customer_id}/billing-profile", json=exempt)
    assert (await own.put(f"/v1/customers/{customer_id}/billing-profile", json=exempt)).status_code == 200


UNBILLABLE: list[tuple[dict[str, Any], str]] = [
    ({"tax_id": "DE000000000"}, "InvalidTaxId"),
    ({"tax_id": "FR40303265045"}, "InvalidTaxId"),
    ({"address": {**GERMAN["address"], "country": "ZZ"}}, "UnknownCountry"),
    ({"address": {**GERMAN["address"], "lines": []}}, "MalformedRequest"),
    ({"legal_name": ""}, "MalformedRequest"),
    ({"channel": "phone"}, "OralRequest"),
    ({"vip": True}, "MalformedRequest"),
]


async def test_a_profile_that_cannot_be_billed_is_refused(story: Story) -> None:
    for changes, code in UNBILLABLE:
        answer = await story.support.put(f"/v1/customers/{new_id()}/billing-profile", json={**GERMAN, **changes})
        assert (answer.status_code, answer.json()["code"]) == (422, code)
        assert "000000000" not in answer.text
        assert "40303265045" not in answer.text


async def test_a_profile_is_only_its_customers(story: Story) -> None:
    invoice = await story.issued()
    stranger = story.customer(new_id())
    path = f"/v1/customers/{invoice['customer_id']}/billing-profile"

    assert (await stranger.get(path)).status_code == 404
    assert (await stranger.put(path, json=FRENCH_BUSINESS)).status_code == 404
    assert (await stranger.get(f"/v1/invoices/{invoice['id']}")).status_code == 404
    assert (await stranger.get("/v1/invoices")).json()["items"] == []


async def test_a_profile_changed_meanwhile_is_not_overwritten(story: Story) -> None:
    path = f"/v1/customers/{new_id()}/billing-profile"
    etag = (await story.support.put(path, json=GERMAN)).headers["etag"]

    answers = await asyncio.gather(
        *(story.support.put(path, json=GERMAN, headers={"if-match": etag}) for _ in range(3))
    )

    assert sorted(answer.status_code for answer in answers) == [200, 409, 409]


async def test_an_issued_invoice_keeps_its_buyer_when_the_profile_changes(story: Story) -> None:
    contract = a_contract()
    await story.issued(contract)
    await story.support.put(f"/v1/customers/{contract.customer_id}/billing-profile", json=FRENCH_BUSINESS)

    assert (await story.invoice_of(contract))["buyer"]["legal_name"] == "Beispiel AG"


async def test_a_withdrawn_contracts_invoice_is_void_and_keeps_its_number(story: Story) -> None:
    contract = a_contract()
    invoice = await story.issued(contract)
    await story.service.tell(a_withdrawal(contract))
    await story.service.tell(a_withdrawal(contract))

    void = await story.invoice_of(contract)
    assert (void["status"], void["number"], void["void_reason"]) == ("void", invoice["number"], "contract-withdrawn")
    [voided] = await story.announced("invoice-voided")
    assert (voided.number, voided.reason) == (invoice["number"], "contract-withdrawn")
    assert (await story.report(invoice)).json()["facts"]["state"] == "void"


async def test_a_withdrawn_contract_asks_for_nothing_in_whatever_order_it_is_told(story: Story) -> None:
    for order in itertools.permutations(["accept", "withdraw", "profile"]):
        contract = a_contract()
        for step in order:
            if step == "profile":
                await story.support.put(f"/v1/customers/{contract.customer_id}/billing-profile", json=GERMAN)
            else:
                await story.service.tell(contract if step == "accept" else a_withdrawal(contract))

        of_contract = {"contract_id": str(contract.contract_id)}
        found = (await story.finance.get("/v1/invoices", params=of_contract)).json()["items"]
        assert [item["status"] for item in found] in ([], ["void"]), order
    assert len(await story.announced("invoice-issued")) == len(await story.announced("invoice-voided"))


async def test_money_approved_after_a_withdrawal_becomes_credit(story: Story) -> None:
    contract = a_contract()
    invoice = await story.issued(contract)
    before = await story.reported(invoice, amount_minor=900)
    after = await story.reported(invoice, amount_minor=11_000)
    await story.approve(before)
    await story.service.tell(a_withdrawal(contract))
    await story.approve(after)

    assert await story.credit(contract.customer_id) == [11_900]
    audits = [(fact.invoice_covered, fact.outstanding.minor) for fact in await story.announced("payment-audited")]
    assert audits == [(False, 11_000), (False, 0)]


async def test_a_withdrawal_that_crosses_the_settling_approval_gives_the_money_back_once(story: Story) -> None:
    contract = a_contract()
    payment_id = await story.reported(await story.issued(contract), amount_minor=12_000)

    await asyncio.gather(story.approve(payment_id), story.service.tell(a_withdrawal(contract)))
    await story.service.tell(a_withdrawal(contract))

    assert await story.credit(contract.customer_id) == [12_000]


async def renewal_in(story: Story) -> tuple[Any, dict[str, Any], datetime]:
    """A contract with its first period paid, its renewal invoice, and the end of the first period."""
    contract = a_contract()
    await story.approve(await story.reported(await story.issued(contract)))
    await story.service.tell(a_renewal(contract))
    return contract, await story.invoice_of(contract, 2), await story.service.now() + timedelta(days=1)


@pytest.mark.parametrize(
    ("reason", "void_reason"), [("not-renewed", "service-expired"), ("stopped-by-customer", "stopped-by-customer")]
)
async def test_an_unpaid_renewal_is_void_when_the_service_expires(story: Story, reason: str, void_reason: str) -> None:
    contract, _invoice, end = await renewal_in(story)
    await story.service.tell(an_expiry(contract, reason=reason, ended_at=end))

    assert (await story.invoice_of(contract, 2))["void_reason"] == void_reason
    assert (await story.invoice_of(contract, 1))["status"] == "paid"


async def test_a_renewal_with_a_payment_in_audit_outlives_the_expiry_until_the_audit(story: Story) -> None:
    contract, invoice, end = await renewal_in(story)
    payment_id = await story.reported(invoice)
    await story.service.tell(an_expiry(contract, reason="not-renewed", ended_at=end))

    assert (await story.invoice_of(contract, 2))["status"] == "issued"
    assert (await story.report(invoice)).json()["code"] == "NotPayable"
    await story.reject(payment_id)
    assert (await story.invoice_of(contract, 2))["status"] == "void"


async def test_a_renewal_paid_before_the_end_and_approved_after_it_is_paid(story: Story) -> None:
    contract, invoice, end = await renewal_in(story)
    payment_id = await story.reported(invoice)
    await story.service.tell(an_expiry(contract, reason="not-renewed", ended_at=end))
    await story.approve(payment_id)

    assert (await story.invoice_of(contract, 2))["status"] == "paid"
    assert await story.credit(contract.customer_id) == []


@pytest.mark.parametrize("told_first", [True, False])
async def test_money_for_a_renewal_that_contracts_refused_becomes_credit(story: Story, told_first: bool) -> None:
    contract, invoice, end = await renewal_in(story)
    payment_id = await story.reported(invoice)
    refusal = RenewalRefused(
        customer_id=contract.customer_id,
        contract_id=contract.contract_id,
        agreement_version=contract.agreement_version,
        period_index=2,
        payment_id=UUID(payment_id),
        ended_at=end,
        reason="servers-in-another-contract",
        refused_at=end,
    )
    await story.service.tell(an_expiry(contract, reason="not-renewed", ended_at=end))
    if told_first:
        await story.service.tell(refusal)
        await story.approve(payment_id)
    else:
        await story.approve(payment_id)
        await story.service.tell(refusal)
        await story.service.tell(refusal)

    assert (await story.invoice_of(contract, 2))["status"] == ("void" if told_first else "paid")
    assert await story.credit(contract.customer_id) == [11_900]


async def test_a_renewal_reported_after_the_end_is_void_and_its_money_credit(story: Story) -> None:
    contract, invoice, end = await renewal_in(story)
    await story.service.advance(to=end)
    payment_id = await story.reported(invoice)
    await story.service.tell(an_expiry(contract, reason="not-renewed", ended_at=end))
    await story.approve(payment_id)

    assert (await story.invoice_of(contract, 2))["status"] == "void"
    assert await story.credit(contract.customer_id) == [11_900]


async def test_a_renewal_stopped_and_asked_for_again_is_billed_anew(story: Story) -> None:
    contract, first, _end = await renewal_in(story)
    stop = StopRequested(
        customer_id=contract.customer_id,
        contract_id=contract.contract_id,
        agreement_version="2026-01",
        period_index=1,
        ends_at=NOON,
        requested_at=NOON,
    )
    await story.service.tell(stop)
    assert (await story.invoice_of(contract, 2))["status"] == "void"
    await story.service.tell(a_renewal(contract))
    assert (await story.invoice_of(contract, 2))["id"] == first["id"]
    await story.service.tell(a_renewal(contract, requested_at=NOON + timedelta(days=364)))

    again = await story.invoice_of(contract, 2)
    assert (again["status"], again["id"] != first["id"]) == ("issued", True)


async def test_an_extension_granted_after_the_end_has_the_renewal_billed_anew(story: Story) -> None:
    contract, first, end = await renewal_in(story)
    await story.service.tell(an_expiry(contract, reason="not-renewed", ended_at=end))
    assert (await story.invoice_of(contract, 2))["status"] == "void"
    extended = ServiceExtended(
        customer_id=contract.customer_id,
        contract_id=contract.contract_id,
        agreement_version="2026-01",
        extension_id=new_id(),
        period_index=1,
        ends_at=end,
        until_on=(end + timedelta(days=20)).date(),
        extended_until=end + timedelta(days=20),
        zone="UTC",
        was_ended=True,
        retention_days=30,
        extended_at=end + timedelta(days=1),
    )
    for _ in range(2):
        await story.service.tell(extended)
        await story.service.tell(a_renewal(contract, requested_at=end + timedelta(days=1)))

    again = await story.invoice_of(contract, 2)
    assert (again["status"], again["id"] != first["id"]) == ("issued", True)
    payment_id = await story.reported(again)
    await story.approve(payment_id)
    assert (await story.invoice_of(contract, 2))["status"] == "paid"


async def test_a_service_revived_by_a_late_audit_is_billed_for_later_periods(story: Story) -> None:
    contract, invoice, end = await renewal_in(story)
    payment_id = await story.reported(invoice)
    await story.service.tell(an_expiry(contract, reason="not-renewed", ended_at=end))
    await story.approve(payment_id)
    renewed = ServiceRenewed(
        customer_id=contract.customer_id,
        contract_id=contract.contract_id,
        agreement_version="2026-01",
        period_index=2,
        starts_at=end,
        ends_at=end + timedelta(days=365),
        zone="Europe/Berlin",
        payment_id=UUID(payment_id),
        local_backup_every_hours=24,
        restore_target_hours=4,
        retention_days=30,
    )
    await story.service.tell(renewed)
    await story.service.tell(a_renewal(contract, period_index=3))

    assert (await story.invoice_of(contract, 3))["status"] == "issued"
