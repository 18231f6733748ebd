"""Refunds: the full payment, four eyes, one credit note, never twice, never more than was paid."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from services.billing.consumers import memory
from services.billing.db.tables import credit_notes, refunds
from shared.kernel.ids import new_id
from shared.kit.auth import Role
from shared.kit.bus.handlers import run_handlers
from tests.billing.refunds import RefundStory, a_refund_request, a_refunded_end, a_taking_back
from tests.billing.story import NOON, a_contract, a_renewal, a_told
from tests.support.service import ServiceUnderTest


@pytest.fixture
def story(service: ServiceUnderTest) -> RefundStory:
    return RefundStory(service)


async def test_a_refund_pays_back_fee_tax_and_mailing_with_a_credit_note_that_mirrors_the_invoice(
    story: RefundStory,
) -> None:
    await story.paid(a_contract(paper_bill=True))
    refund_id = await story.prepared()

    released = await story.release(refund_id)

    assert released.status_code == 200, released.text
    assert (released.json()["status"], released.json()["amount"]["minor"]) == ("released", 12_296)
    [note] = await story.notes()
    assert (note["type_code"], note["number"], note["invoice_number"]) == ("381", "MC-2026-000001", "MS-2026-000001")
    for same in ("seller", "buyer", "lines", "net", "mailing", "tax", "total", "tax_name", "rounding", "notes"):
        assert note[same] == story.invoice[same], same
    assert sum(line["amount"]["minor"] for line in note["lines"]) == note["total"]["minor"] == 12_296
    [told] = await story.announced("refund-released")
    assert (told.credit_note_number, told.amount.minor) == ("MC-2026-000001", 12_296)
    [issued] = await story.announced("credit-note-issued")
    assert (issued.number, issued.total.minor, issued.credit_note_id) == ("MC-2026-000001", 12_296, told.credit_note_id)
    decided = (await story.finance.get("/v1/decisions", params={"subject_id": refund_id})).json()["items"]
    assert [(row["kind"], row["verdict"], row["clause"], row["agreement_version"]) for row in decided] == [
        ("refund.release", "released", "6.2", "2026-01")
    ]
    assert (await story.finance.get(f"/v1/invoices/{story.invoice['id']}")).json()["status"] == "paid"


async def test_the_credit_note_says_what_the_invoice_said_whatever_the_profile_says_now(story: RefundStory) -> None:
    await story.paid()
    moved = {"legal_name": "Neu GmbH", "address": {**story.invoice["buyer"]["address"], "city": "Bremen"}}
    path = f"/v1/customers/{story.invoice['customer_id']}/billing-profile"
    assert (await story.support.put(path, json=moved)).status_code == 200
    await story.release(await story.prepared())
    [note] = await story.notes()
    assert note["buyer"] == story.invoice["buyer"]


async def test_nobody_releases_what_they_prepared_and_no_role_is_excepted(story: RefundStory) -> None:
    await story.paid()
    refund_id = await story.prepared()

    own = await story.release(refund_id, by=story.finance)

    assert (own.status_code, own.json()["code"], own.json()["clause"]) == (403, "OwnPreparation", "6.2")
    for role in (Role.ADMIN, Role.SUPPORT, Role.TECHNICIAN):
        answer = await story.release(refund_id, by=story.service.as_role(role, subject="somebody"))
        assert answer.status_code == 403
    assert await story.notes() == []
    assert (await story.release(refund_id)).status_code == 200


async def test_the_database_refuses_the_same_eyes_and_more_than_was_paid(story: RefundStory) -> None:
    await story.paid()
    refund_id = UUID(await story.prepared())
    for values, named in (
        ({"amount_minor": refunds.c.paid_minor + 1}, "never_more_than_paid"),
        ({"status": "released", "released_by": refunds.c.prepared_by, "released_at": NOON}, "four_eyes"),
    ):
        with pytest.raises(IntegrityError, match=named):
            async with story.service.runtime.database.transaction() as tx:
                await tx.execute(sa.update(refunds).where(refunds.c.id == refund_id).values(**values))
    async with story.service.runtime.database.reading() as reader:
        row = dict((await reader.rows(sa.select(refunds)))[0]._mapping)
    with pytest.raises(IntegrityError):
        async with story.service.runtime.database.transaction() as tx:
            await tx.insert(refunds, {**row, "id": new_id()})


async def test_a_refund_is_released_only_once_it_is_prepared(story: RefundStory) -> None:
    await story.paid()
    refund_id = await story.asked()
    answer = await story.release(refund_id)
    assert (answer.status_code, answer.json()["code"]) == (409, "IllegalMove")
    assert (await story.prepare(refund_id)).status_code == 200
    assert (await story.prepare(refund_id, by=story.other_finance)).json()["code"] == "IllegalMove"


async def test_of_twenty_who_prepare_and_release_at_once_one_pays_back(story: RefundStory) -> None:
    await story.paid()
    refund_id = await story.asked()
    finance = [story.service.as_role(Role.FINANCE, subject=f"finance-{number}") for number in range(20)]

    prepared = await asyncio.gather(*(story.prepare(refund_id, by=each) for each in finance))
    assert sorted(answer.status_code for answer in prepared) == [200] + [409] * 19
    released = await asyncio.gather(*(story.release(refund_id, by=each) for each in finance))

    by = [answer.json().get("released_by") for answer in released if answer.status_code == 200]
    assert len(by) == 1
    assert sorted(answer.status_code for answer in released)[1:] in ([409] * 19, [403] + [409] * 18, [409] * 18 + [403])
    assert await story.service.scalar(sa.select(sa.func.count()).select_from(credit_notes)) == 1
    assert len(await story.announced("refund-released")) == len(await story.announced("credit-note-issued")) == 1


async def test_of_releasing_declining_and_taking_back_at_once_one_counts(story: RefundStory) -> None:
    await story.paid()
    refund_id = await story.prepared()
    await asyncio.gather(
        story.release(refund_id), story.decline(refund_id), story.service.tell(a_taking_back(story.request))
    )
    released, declined = await story.announced("refund-released"), await story.announced("refund-declined")
    assert len(released) + len(declined) == 1
    assert len(await story.notes()) == len(released)


async def test_a_request_that_is_told_twice_is_one_refund(story: RefundStory) -> None:
    await story.paid()
    refund_id = await story.prepared()
    await story.service.tell(story.request)
    assert (await story.refund(refund_id))["status"] == "prepared"
    await story.release(refund_id)
    await story.service.tell(story.request)
    await story.service.tell(a_taking_back(story.request))
    assert (await story.refund(refund_id))["status"] == "released"
    assert await story.service.scalar(sa.select(sa.func.count()).select_from(refunds)) == 1


async def test_the_same_period_is_never_refunded_twice_even_if_it_were_asked_for_twice(story: RefundStory) -> None:
    await story.paid()
    await story.release(await story.prepared())
    again = await story.asked()
    shown = await story.refund(again)
    assert (shown["status"], shown["decline_code"]) == ("declined", "nothing-to-refund")
    assert (await story.prepare(again)).json()["code"] == "IllegalMove"
    [told] = await story.announced("refund-declined")
    assert (str(told.refund_id), told.reason) == (again, "nothing-to-refund")
    assert len(await story.notes()) == 1


async def test_what_was_paid_too_much_stays_credit(story: RefundStory) -> None:
    await story.paid(amount_minor=12_000)
    await story.release(await story.prepared())
    [note] = await story.notes()
    assert note["total"]["minor"] == 11_900
    assert await story.credit(story.invoice["customer_id"]) == [100]


async def test_a_payment_approved_after_the_refund_is_credit_as_a_whole(story: RefundStory) -> None:
    story.contract = a_contract()
    story.invoice = await story.issued(story.contract)
    late = await story.reported(story.invoice)
    await story.approve(await story.reported(story.invoice))
    await story.release(await story.prepared())
    assert (await story.approve(late)).status_code == 200
    assert await story.credit(story.invoice["customer_id"]) == [11_900]
    [note] = await story.notes()
    assert note["total"]["minor"] == 11_900


async def test_declined_by_finance_it_has_a_reason_that_leaves_by_no_fact(story: RefundStory) -> None:
    await story.paid()
    refund_id = await story.prepared()
    shown = (await story.decline(refund_id)).json()
    assert (shown["status"], shown["decline_reason"]) == ("declined", "It was served as agreed.")
    [told] = await story.announced("refund-declined")
    assert told.reason == "declined-by-finance"
    assert "agreed" not in told.model_dump_json()
    decided = (await story.finance.get("/v1/decisions", params={"subject_id": refund_id})).json()["items"]
    assert [(row["kind"], row["verdict"], row["clause"]) for row in decided] == [("refund.decline", "declined", "6.2")]
    assert "agreed" not in str(decided)
    nameless = await story.finance.post(f"/v1/refunds/{refund_id}/decline", json={"reason": " "})
    assert nameless.status_code == 422
    # It may be asked for again: nothing was paid back.
    await story.release(await story.prepared())
    assert len(await story.notes()) == 1


async def test_the_customer_takes_it_back_until_it_is_released(story: RefundStory) -> None:
    await story.paid()
    refund_id = await story.prepared()
    await story.service.tell(a_taking_back(story.request))
    assert (await story.refund(refund_id))["status"] == "withdrawn"
    assert (await story.release(refund_id)).json()["code"] == "IllegalMove"
    [told] = await story.announced("refund-declined")
    assert told.reason == "withdrawn-by-customer"


async def test_when_the_service_ends_with_a_refund_later_periods_are_not_billed_and_their_money_is_credit(
    story: RefundStory,
) -> None:
    """The next period was paid and not asked back, the one after it is asked for too late."""
    await story.paid()
    await story.paid_renewal(a_renewal(story.contract))
    await story.release(await story.prepared())
    await story.service.tell(a_refunded_end(story.contract, last=2))
    await story.service.tell(a_renewal(story.contract, 3, requested_at=NOON + timedelta(days=700)))
    assert await story.credit(story.invoice["customer_id"]) == [11_900]
    invoices = (await story.finance.get("/v1/invoices")).json()["items"]
    assert [(each["period_index"], each["status"]) for each in invoices] == [(1, "paid"), (2, "paid")]


async def test_a_payment_in_audit_for_the_next_period_becomes_credit_when_it_is_approved(story: RefundStory) -> None:
    await story.paid()
    await story.service.tell(a_renewal(story.contract))
    following = await story.invoice_of(story.contract, 2)
    payment = await story.reported(following)
    await story.release(await story.prepared())
    await story.service.tell(a_refunded_end(story.contract, last=2))
    assert (await story.approve(payment)).status_code == 200
    assert await story.credit(story.invoice["customer_id"]) == [11_900]
    assert (await story.invoice_of(story.contract, 2))["status"] == "void"


async def test_a_later_period_that_is_asked_back_as_well_is_paid_back_and_not_credited_besides(
    story: RefundStory,
) -> None:
    await story.paid()
    await story.paid_renewal(a_renewal(story.contract))
    following = await story.asked(period_index=2)
    await story.release(await story.prepared())
    await story.service.tell(a_refunded_end(story.contract, last=2))
    assert await story.credit(story.invoice["customer_id"]) == []
    await story.prepare(following)
    await story.release(following)
    assert sorted(note["number"] for note in await story.notes()) == ["MC-2026-000001", "MC-2026-000002"]
    assert await story.credit(story.invoice["customer_id"]) == []


async def test_a_later_period_whose_refund_comes_to_nothing_becomes_credit_then(story: RefundStory) -> None:
    await story.paid()
    await story.paid_renewal(a_renewal(story.contract))
    following = await story.asked(period_index=2)
    await story.service.tell(a_refunded_end(story.contract, last=2))
    assert await story.credit(story.invoice["customer_id"]) == []
    await story.decline(following)
    assert await story.credit(story.invoice["customer_id"]) == [11_900]
    # What is credit by now is not paid back besides.
    again = await story.asked(period_index=2)
    assert (await story.refund(again))["decline_code"] == "nothing-to-refund"


async def test_numbers_of_credit_notes_are_gapless_when_many_are_released_at_once(
    service: ServiceUnderTest,
) -> None:
    stories = [RefundStory(service) for _ in range(6)]
    prepared = []
    for story in stories:
        await story.paid()
        prepared.append(await story.prepared())
    await asyncio.gather(
        *(story.release(refund_id) for story, refund_id in zip(stories, prepared, strict=True)),
        *(stories[0].release(refund_id, by=stories[0].finance) for refund_id in prepared),
    )
    notes = (await stories[0].finance.get("/v1/credit-notes")).json()["items"]
    assert sorted(note["number"] for note in notes) == [f"MC-2026-{number:06d}" for number in range(1, 7)]


async def test_a_number_that_was_told_before_a_restore_is_not_given_again(story: RefundStory) -> None:
    await story.paid()
    await story.release(await story.prepared())
    [told] = await story.announced("credit-note-issued")
    forgotten = a_told(told.model_copy(update={"number": "MC-2026-000041"}))
    async with story.service.runtime.database.transaction() as tx:
        await run_handlers(tx, forgotten, memory.facts.handlers_of(forgotten))
    other = RefundStory(story.service)
    await other.paid()
    await other.release(await other.prepared())
    assert [note["number"] for note in await other.notes()] == ["MC-2026-000042"]


async def test_nobody_sees_another_customers_refund_or_credit_note(story: RefundStory) -> None:
    await story.paid()
    refund_id = await story.prepared()
    await story.release(refund_id)
    [note] = await story.notes()
    stranger = story.customer(new_id())
    for path in (f"/v1/refunds/{refund_id}", f"/v1/credit-notes/{note['id']}"):
        assert (await stranger.get(path)).status_code == 404
        assert (await story.customer(story.contract.customer_id).get(path)).status_code == 200
    assert (await stranger.get("/v1/refunds")).json()["items"] == []
    assert (await stranger.get("/v1/credit-notes")).json()["items"] == []


async def test_a_refund_of_what_was_never_billed_is_parked_and_not_swallowed(story: RefundStory) -> None:
    await story.paid()
    with pytest.raises(Exception, match="no such invoice"):
        await story.service.tell(a_refund_request(a_contract()))
