"""Reporting a payment: what is taken, what is refused by clause 3.2, and that a refusal stores nothing."""

from __future__ import annotations

import hashlib
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from services.billing.db.tables import payments
from shared.kernel.ids import new_id
from shared.kit.auth import Role
from tests.billing.story import PDF, Story, a_contract

MIB = 1024 * 1024


async def stored(story: Story) -> int:
    """Payments, evidence files and announced reports there are: zero after a refusal."""
    rows: int = await story.service.scalar(sa.select(sa.func.count()).select_from(payments))
    folder = story.service.runtime.data_dir / "evidence"
    files = [path for path in folder.rglob("*") if path.is_file()] if folder.exists() else []
    return rows + len(files) + len(await story.announced("payment-reported"))


REFUSED: list[tuple[dict[str, Any], int, str]] = [
    ({"currency": "USD"}, 422, "WrongCurrency"),
    ({"evidence": None}, 422, "NoEvidence"),
    ({"evidence": None, "bank_reference": " - "}, 422, "NoEvidence"),
    ({"evidence": ("a.pdf", b"%PDF-" + b"x" * (5 * MIB), "application/pdf")}, 413, "EvidenceTooLarge"),
    ({"evidence": ("a.exe", b"MZ", "application/octet-stream")}, 415, "EvidenceOfWrongType"),
    ({"evidence": ("a.pdf", b"MZ", "application/pdf")}, 415, "EvidenceOfWrongType"),
    ({"evidence": ("a.png", PDF, "image/png")}, 415, "EvidenceOfWrongType"),
    ({"evidence": ("a.pdf", b"", "application/pdf")}, 415, "EvidenceOfWrongType"),
    ({"paid_on": "2999-01-01"}, 422, "PaidInTheFuture"),
    ({"invoice_id": new_id()}, 404, "NoSuchInvoice"),
]


async def test_a_refused_report_names_clause_3_2_and_stores_nothing(story: Story) -> None:
    invoice = await story.issued()
    for options, status, code in REFUSED:
        answer = await story.report(invoice, **options)
        assert (answer.status_code, answer.json()["code"], answer.json()["clause"]) == (status, code, "3.2")
    assert await stored(story) == 0


async def test_an_oral_report_is_refused_by_clause_3_1(story: Story) -> None:
    answer = await story.report(await story.issued(), channel="phone")

    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["clause"]) == (422, "OralRequest", "3.1")
    assert [error["field"] for error in problem["errors"]] == ["channel"]
    assert await stored(story) == 0


MALFORMED: list[dict[str, Any]] = [
    {"amount_minor": "0"},
    {"amount_minor": "-1"},
    {"amount_minor": "1.5"},
    {"amount_minor": "1e3"},
    {"amount_minor": " 7"},
    {"amount_minor": "٣"},
    {"amount_minor": "9999999999999999"},
    {"currency": "eur"},
    {"currency": "XXX"},
    {"invoice_id": "1"},
    {"paid_on": "04.05.2026"},
    {"paid_on": "2026-02-30"},
    {"bank_reference": "a\x00b"},
    {"bank_reference": "\ufdfa" * 100},
    {"channel": "x" * 300},
    {"surprise": "1"},
]


async def test_a_malformed_form_is_refused_and_stores_nothing(story: Story) -> None:
    invoice = await story.issued()
    for fields in MALFORMED:
        answer = await story.report(invoice, **fields)
        assert (answer.status_code, answer.json()["code"]) == (422, "MalformedRequest"), (fields, answer.text)
    assert await stored(story) == 0


async def test_a_body_beyond_every_limit_is_refused_before_it_is_read(story: Story) -> None:
    answer = await story.report(
        await story.issued(), evidence=("a.pdf", b"%PDF-" + b"x" * (7 * MIB), "application/pdf")
    )

    assert answer.status_code == 413
    assert await stored(story) == 0


async def test_a_bank_reference_alone_is_evidence(story: Story) -> None:
    payment_id = await story.reported(
        await story.issued(), evidence=None, bank_reference="E2E 4711", paid_on="2026-05-04"
    )

    payment = (await story.finance.get(f"/v1/payments/{payment_id}")).json()
    assert (payment["bank_reference"], payment["paid_on"], payment["evidence"]) == ("E2E 4711", "2026-05-04", None)
    missing = await story.finance.get(f"/v1/payments/{payment_id}/evidence")
    assert (missing.status_code, missing.json()["code"]) == (404, "NoSuchEvidence")


async def test_a_bank_reference_counts_once_whatever_its_case_and_spaces(story: Story) -> None:
    await story.reported(await story.issued(), evidence=None, bank_reference="E2E-4711")

    answer = await story.report(await story.issued(), evidence=None, bank_reference="e2e 4711")

    assert (answer.status_code, answer.json()["code"], answer.json()["clause"]) == (
        409,
        "DuplicateBankReference",
        "3.2",
    )
    assert answer.json()["agreement_version"] == "2026-01"


async def test_a_rejected_report_sets_its_bank_reference_free(story: Story) -> None:
    invoice = await story.issued()
    await story.reject(await story.reported(invoice, evidence=None, bank_reference="4711", amount_minor=1))

    assert (await story.report(invoice, evidence=None, bank_reference="4711")).status_code == 201


async def test_an_invoice_of_another_customer_does_not_exist(story: Story) -> None:
    invoice = await story.issued()
    stranger = story.customer(new_id())

    foreign = await story.report(invoice, by=stranger)
    unknown = await story.report({**invoice, "id": str(new_id())}, by=stranger)

    assert foreign.status_code == unknown.status_code == 404
    differ = {"request_id"}
    assert {k: v for k, v in foreign.json().items() if k not in differ} == {
        k: v for k, v in unknown.json().items() if k not in differ
    }
    assert await stored(story) == 0


async def test_a_draft_a_paid_and_a_void_invoice_take_no_payment(story: Story) -> None:
    contract = a_contract()
    await story.service.tell(contract)
    draft = await story.report(await story.invoice_of(contract), amount_minor=1)
    paid_invoice = await story.issued()
    await story.approve(await story.reported(paid_invoice))
    paid = await story.report(paid_invoice)

    assert [(answer.status_code, answer.json()["code"]) for answer in (draft, paid)] == [(409, "NotPayable")] * 2
    assert [answer.json()["facts"]["state"] for answer in (draft, paid)] == ["draft", "paid"]


async def test_evidence_is_kept_once_by_its_hash_and_given_back_as_a_harmless_attachment(story: Story) -> None:
    invoice = await story.issued()
    png = b"\x89PNG\r\n\x1a\nfake"
    first = await story.reported(invoice, evidence=('../..\\x"y\r\n收据.png', png, "image/png"), amount_minor=5)
    await story.reported(invoice, evidence=("again.png", png, "image/png"), amount_minor=5)

    digest = hashlib.sha256(png).hexdigest()
    files = [path for path in (story.service.runtime.data_dir / "evidence").rglob("*") if path.is_file()]
    assert [path.name for path in files] == [digest]
    assert files[0].stat().st_mode & 0o077 == 0
    answer = await story.customer(new_id()).get(f"/v1/payments/{first}/evidence")
    assert answer.status_code == 404
    answer = await story.support.get(f"/v1/payments/{first}/evidence")
    assert answer.content == png
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["content-disposition"].startswith("attachment; ")
    assert "\\" not in answer.headers["content-disposition"]
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"


async def test_a_damaged_evidence_file_is_not_given_out(story: Story) -> None:
    payment_id = await story.reported(await story.issued())
    [file] = [path for path in (story.service.runtime.data_dir / "evidence").rglob("*") if path.is_file()]
    file.write_bytes(b"%PDF- something else")

    answer = await story.finance.get(f"/v1/payments/{payment_id}/evidence")

    assert (answer.status_code, answer.json()["code"]) == (503, "EvidenceAway")


async def test_a_repeated_report_with_the_same_key_is_one_payment(story: Story) -> None:
    invoice = await story.issued()
    first = await story.report(invoice, key="once")
    again = await story.report(invoice, key="once")

    assert first.status_code == again.status_code == 201
    assert first.json() == again.json()
    assert again.headers["idempotency-replayed"] == "true"


@pytest.mark.parametrize("role", [Role.PARTNER, Role.TECHNICIAN, Role.ADMIN])
async def test_other_roles_neither_report_nor_audit(story: Story, role: Role) -> None:
    payment_id = await story.reported(await story.issued())
    caller = story.service.as_role(role)

    answers: list[httpx.Response] = [
        await story.report(await story.issued(), by=caller),
        await story.approve(payment_id, by=caller),
        await story.reject(payment_id, by=caller),
        await caller.get("/v1/payments"),
    ]

    assert [answer.status_code for answer in answers] == [403] * 4


async def test_payments_are_paged_and_a_customer_sees_only_its_own(story: Story) -> None:
    mine, other = await story.issued(), await story.issued()
    ids = [await story.reported(mine, amount_minor=amount) for amount in (1, 2, 3)]
    await story.reported(other)
    customer = story.customer(mine["customer_id"])

    page = (await customer.get("/v1/payments", params={"limit": 2})).json()
    rest = (await customer.get("/v1/payments", params={"limit": 2, "cursor": page["next_cursor"]})).json()

    assert [item["id"] for item in page["items"] + rest["items"]] == ids
    assert rest["next_cursor"] is None
