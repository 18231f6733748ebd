"""Facts of each kind of decision of billing, and the verdict that follows from them."""

from __future__ import annotations

import pytest

from services.billing.domain.judgements import judgements
from services.billing.domain.payment import auditing, reporting
from services.billing.domain.tax import taxing
from tests.support.judging import Judged

WRITTEN = {"written_channels": ["api", "email", "portal"]}
REPORT = {
    "channel": "portal",
    "has_file": False,
    "has_bank_reference": True,
    "currency": "EUR",
    "invoice_currency": "EUR",
    "invoice_status": "issued",
}
AUDIT = {"found": "approved", "own_entry": False}
AT_HOME = {
    "country": "DE",
    "seller_country": "DE",
    "in_tax_table": True,
    "both_in_the_eu": True,
    "tax_id_checked": True,
    "exemption_on_record": False,
}

JUDGED = [
    Judged(reporting, "accepted", "3.2", REPORT, WRITTEN),
    Judged(reporting, "accepted", "3.2", REPORT | {"has_file": True, "has_bank_reference": False}, WRITTEN),
    Judged(reporting, "refused", "3.2", REPORT | {"has_bank_reference": False}, WRITTEN),
    Judged(reporting, "refused", "3.2", REPORT | {"currency": "USD"}, WRITTEN),
    Judged(reporting, "refused", "3.2", REPORT | {"invoice_status": "void"}, WRITTEN),
    Judged(reporting, "refused", "3.1", REPORT | {"channel": "telephone"}, WRITTEN),
    Judged(auditing, "approved", "3.2", AUDIT),
    Judged(auditing, "rejected", "3.2", AUDIT | {"found": "rejected"}),
    Judged(auditing, "OwnEntry", "3.2", AUDIT | {"own_entry": True}),
    Judged(taxing, "taxed", "3.6", AT_HOME),
    Judged(taxing, "untaxed", "3.6", AT_HOME | {"exemption_on_record": True}),
    Judged(taxing, "untaxed", "3.6", AT_HOME | {"country": "FR"}),
    Judged(taxing, "taxed", "3.6", AT_HOME | {"country": "FR", "tax_id_checked": False}),
    Judged(taxing, "untaxed", "3.6", AT_HOME | {"country": "CN", "both_in_the_eu": False}),
    Judged(taxing, "untaxed", "3.6", AT_HOME | {"country": "BR", "in_tax_table": False}),
]


@pytest.mark.parametrize("example", JUDGED, ids=str)
def test_the_verdict_follows_from_the_facts(example: Judged) -> None:
    example.insist(judgements)
