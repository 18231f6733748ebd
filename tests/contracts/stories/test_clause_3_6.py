"""3.6 Tax and mailing: the fee of the catalogue is net; tax is the law's, and a bill is mailed only if asked for."""

from typing import Any

import pytest

from shared.events.contracts import ContractAccepted
from tests.billing.story import FRENCH_BUSINESS, GERMAN
from tests.billing.story import Story as Billing
from tests.contracts.stories.lifecycle import LifecycleStory as Story
from tests.contracts.stories.refunds import with_parameters

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


async def billed(story: Story, billing: Billing, buyer: dict[str, Any] = GERMAN, **draft: Any) -> dict[str, Any]:
    """The invoice of a contract that was accepted just now."""
    await story.accepted(**draft)
    [accepted] = await story.told(ContractAccepted)
    return await billing.issued(accepted, buyer)


def lines_of(invoice: dict[str, Any]) -> list[tuple[str, int, str]]:
    return [(line["kind"], line["amount"]["minor"], line["category"]) for line in invoice["lines"]]


async def test_tax_is_added_to_the_fee_as_the_law_of_the_customers_place_requires(
    lifecycle: Story, billing: Billing
) -> None:
    """Given a plan of EUR 249.00 net, when a German customer accepts, then 19 % come on top. Clause 3.6."""
    invoice = await billed(lifecycle, billing)
    assert lines_of(invoice) == [("fee", 24900, "S"), ("tax", 4731, "S")]
    assert invoice["total"]["minor"] == 24900 + 4731
    decisions = (await billing.finance.get("/v1/decisions", params={"subject_id": invoice["id"]})).json()["items"]
    assert [(each["kind"], each["clause"], each["agreement_version"]) for each in decisions] == [
        ("invoice.tax", "3.6", "2026-1")
    ]


async def test_a_business_abroad_owes_the_tax_itself(lifecycle: Story, billing: Billing) -> None:
    """Given a French business with a checked VAT number, then the charge is reversed and the invoice says so. 3.6."""
    invoice = await billed(lifecycle, billing, FRENCH_BUSINESS)
    assert lines_of(invoice) == [("fee", 24900, "AE"), ("tax", 0, "AE")]
    assert invoice["total"]["minor"] == 24900


async def test_a_paper_bill_costs_what_the_agreement_says_and_only_who_asked_pays_for_it(
    lifecycle: Story, billing: Billing
) -> None:
    """Given a customer who asked for a paper bill, then EUR 5.00 are added, with tax. Nobody else pays it. 3.6."""
    invoice = await billed(lifecycle, billing, paper_bill=True)
    assert lines_of(invoice) == [("fee", 24900, "S"), ("mailing", 500, "S"), ("tax", 4731, "S"), ("tax", 95, "S")]
    assert invoice["total"]["minor"] == sum(line[1] for line in lines_of(invoice))


async def test_an_agreement_with_another_fee_for_mailing_is_kept_to(
    lifecycle: Story, billing: Billing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a version that asks EUR 7.50, when it is accepted, then its customer pays EUR 7.50. Clause 3.6."""
    with_parameters(monkeypatch, bill_mailing_fee={"EUR": 750})
    invoice = await billed(lifecycle, billing, paper_bill=True)
    assert ("mailing", 750, "S") in lines_of(invoice)
