"""The audit: four eyes, coverage, credit, and one winner whatever is clicked at once."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from services.billing.db.tables import credit_entries, payments
from shared.kit.auth import Role
from tests.billing.story import Story


async def test_nobody_audits_their_own_entry(story: Story) -> None:
    invoice = await story.issued()
    payment_id = await story.reported(invoice, by=story.finance)

    own = await story.approve(payment_id, by=story.finance)
    own_rejection = await story.reject(payment_id, by=story.finance)

    assert (own.status_code, own.json()["code"], own.json()["clause"]) == (403, "OwnEntry", "3.2")
    assert own_rejection.json()["code"] == "OwnEntry"
    assert (await story.approve(payment_id, by=story.other_finance)).status_code == 200


async def test_one_person_with_two_roles_is_still_one_person(story: Story) -> None:
    payment_id = await story.reported(await story.issued(), by=story.service.as_role(Role.SUPPORT, subject="kim"))

    answer = await story.approve(payment_id, by=story.service.as_role(Role.FINANCE, subject="kim"))

    assert answer.json()["code"] == "OwnEntry"


async def test_the_database_itself_refuses_a_second_pair_of_the_same_eyes(story: Story) -> None:
    payment_id = UUID(await story.reported(await story.issued()))
    with pytest.raises(IntegrityError, match="four_eyes"):
        async with story.service.runtime.database.transaction() as tx:
            await tx.execute(
                sa.update(payments)
                .where(payments.c.id == payment_id)
                .values(status="approved", audited_by=payments.c.recorded_by, audited_at=tx.now)
            )


async def test_a_rejection_has_a_reason_and_leaves_the_invoice_open(story: Story) -> None:
    invoice = await story.issued()
    payment_id = await story.reported(invoice)

    rejected = await story.reject(payment_id)

    assert (rejected.json()["status"], rejected.json()["rejection_reason"]) == ("rejected", "not received")
    [audited] = await story.announced("payment-audited")
    assert (audited.verdict, audited.invoice_covered, audited.outstanding.minor) == ("rejected", False, 11_900)
    assert "not received" not in audited.model_dump_json()
    assert (await story.report(invoice)).status_code == 201
    nameless = await story.finance.post(f"/v1/payments/{payment_id}/reject", json={"reason": "  "})
    assert nameless.status_code == 422


async def test_partial_payments_settle_the_invoice_when_they_reach_its_total(story: Story) -> None:
    invoice = await story.issued()
    first = await story.reported(invoice, amount_minor=4_000)
    second = await story.reported(invoice, amount_minor=7_900)

    await story.approve(first)
    assert await story.announced("invoice-settled") == []
    await story.approve(second)

    audits = [(fact.invoice_covered, fact.outstanding.minor) for fact in await story.announced("payment-audited")]
    assert audits == [(False, 7_900), (True, 0)]
    assert len(await story.announced("invoice-settled")) == 1
    assert await story.credit(invoice["customer_id"]) == []


async def test_what_is_paid_too_much_becomes_credit(story: Story) -> None:
    invoice = await story.issued()
    first = await story.reported(invoice, amount_minor=12_000)
    late = await story.reported(invoice, amount_minor=500)

    await story.approve(first)
    await story.approve(late)

    assert await story.credit(invoice["customer_id"]) == [600]
    own = story.customer(UUID(invoice["customer_id"]))
    entries = (await own.get(f"/v1/customers/{invoice['customer_id']}/credit")).json()["entries"]["items"]
    assert [(entry["payment_id"], entry["kind"], entry["amount"]["minor"]) for entry in entries] == [
        (first, "overpayment", 100),
        (late, "overpayment", 500),
    ]
    stranger = story.customer(UUID(int=7))
    assert (await stranger.get(f"/v1/customers/{invoice['customer_id']}/credit")).status_code == 404


async def test_of_two_approvals_at_once_one_wins_and_the_other_learns_the_state(story: Story) -> None:
    invoice = await story.issued()
    payment_id = await story.reported(invoice)

    answers = await asyncio.gather(
        *(story.approve(payment_id, by=by) for by in [story.finance, story.other_finance] * 3)
    )

    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 5
    lost = [answer.json() for answer in answers if answer.status_code == 409]
    assert {(problem["code"], problem["facts"]["state"]) for problem in lost} == {("IllegalMove", "approved")}
    assert len(await story.announced("payment-audited")) == len(await story.announced("invoice-settled")) == 1
    assert await story.credit(invoice["customer_id"]) == []


async def test_approval_and_rejection_at_once_have_one_outcome(story: Story) -> None:
    invoice = await story.issued()
    payment_id = await story.reported(invoice)

    answers = await asyncio.gather(story.approve(payment_id), story.reject(payment_id, by=story.other_finance))

    assert sorted(answer.status_code for answer in answers) == [200, 409]
    [winner] = [answer.json()["status"] for answer in answers if answer.status_code == 200]
    [loser] = [answer.json() for answer in answers if answer.status_code == 409]
    assert loser["facts"]["state"] == winner
    [audited] = await story.announced("payment-audited")
    assert audited.verdict == winner


async def test_two_halves_approved_at_once_cover_the_invoice(story: Story) -> None:
    invoice = await story.issued()
    halves = [await story.reported(invoice, amount_minor=5_950) for _ in range(2)]

    answers = await asyncio.gather(*(story.approve(half) for half in halves))

    assert [answer.status_code for answer in answers] == [200, 200]
    covered = [fact.invoice_covered for fact in await story.announced("payment-audited")]
    assert sorted(covered) == [False, True]
    assert len(await story.announced("invoice-settled")) == 1


async def test_four_full_payments_approved_at_once_settle_once_and_credit_the_rest(story: Story) -> None:
    invoice = await story.issued()
    reported = [await story.reported(invoice) for _ in range(4)]

    await asyncio.gather(*(story.approve(payment_id) for payment_id in reported))

    assert len(await story.announced("invoice-settled")) == 1
    assert await story.credit(invoice["customer_id"]) == [3 * 11_900]
    assert await story.service.scalar(sa.select(sa.func.count()).select_from(credit_entries)) == 3


async def test_one_bank_reference_reported_twice_at_once_is_one_payment(story: Story) -> None:
    invoices = [await story.issued() for _ in range(4)]

    answers = await asyncio.gather(
        *(story.report(invoice, evidence=None, bank_reference="same") for invoice in invoices)
    )

    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
