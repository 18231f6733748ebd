"""The main job as billing sees it: accepted, issued, reported, audited, settled."""

from __future__ import annotations

from tests.billing.story import GERMAN, Story, a_contract


async def test_a_contract_is_billed_paid_with_evidence_and_audited(story: Story) -> None:
    contract = a_contract(paper_bill=True)
    customer = story.customer(contract.customer_id)

    await story.service.tell(contract)
    draft = await story.invoice_of(contract)
    assert (draft["status"], draft["number"], draft["total"]) == ("draft", None, None)

    answer = await customer.put(f"/v1/customers/{contract.customer_id}/billing-profile", json=GERMAN)
    assert answer.status_code == 200, answer.text
    invoice = await story.invoice_of(contract)
    year = (await story.service.now()).year
    assert (invoice["status"], invoice["number"]) == ("issued", f"MS-{year}-000001")
    assert [(line["kind"], line["amount"]["minor"], line["category"]) for line in invoice["lines"]] == [
        ("fee", 10_000, "S"),
        ("mailing", 333, "S"),
        ("tax", 1_900, "S"),
        ("tax", 63, "S"),
    ]
    assert invoice["total"]["minor"] == 12_296
    assert invoice["seller"]["address"]["country"] == "DE"
    assert invoice["buyer"]["legal_name"] == "Beispiel AG"

    payment_id = await story.reported(invoice)
    queue = (await story.finance.get("/v1/payments", params={"status": "reported"})).json()["items"]
    assert [item["id"] for item in queue] == [payment_id]
    evidence = await story.finance.get(f"/v1/payments/{payment_id}/evidence")
    assert evidence.content.startswith(b"%PDF-")
    assert evidence.headers["content-disposition"].startswith('attachment; filename="receipt.pdf"')
    assert evidence.headers["x-content-type-options"] == "nosniff"

    approved = await story.approve(payment_id)
    assert (approved.status_code, approved.json()["status"]) == (200, "approved")
    assert (await story.invoice_of(contract))["status"] == "paid"
    assert [fact.kind for fact in await story.service.announced()] == [
        "invoice-issued",
        "payment-reported",
        "payment-audited",
        "invoice-settled",
    ]
    [audited] = await story.announced("payment-audited")
    assert (audited.verdict, audited.invoice_covered, audited.outstanding.minor) == ("approved", True, 0)
    decisions = (await customer.get("/v1/decisions", params={"subject_id": payment_id})).json()["items"]
    assert [(item["kind"], item["verdict"], item["clause"], item["agreement_version"]) for item in decisions] == [
        ("payment.report", "accepted", "3.2", "2026-01"),
        ("payment.audit", "approved", "3.2", "2026-01"),
    ]
