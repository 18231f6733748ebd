"""`mainstay agreement`: read what a version changes, and whom it reaches, before anybody accepts it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from services.contracts.db import agreements
from services.contracts.db.tables import acceptances, accepted_texts, contracts, customers, periods
from services.contracts.domain.agreement import Language
from shared.kernel.ids import new_id
from shared.kit.db import Transaction
from tests.contracts.stories.agreements import Folders
from tests.deploy.cli.test_commands import changing, mainstay, told

SOON = datetime.now(UTC).replace(microsecond=0) + timedelta(days=10)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of a version that is not published yet; the data folder is beside it."""
    monkeypatch.setenv("MAINSTAY_DATA_DIR", str(tmp_path / "data"))
    folders = Folders(tmp_path / "agreements", monkeypatch)
    return folders.write(
        "2099-1",
        SOON,
        en=[("renew or stop the service within the 3 days", "renew or stop the service within the 5 days")],
        parameters=[("renewal_window_days = 3", "renewal_window_days = 5")],
        within=tmp_path,
    )


def test_a_folder_is_compared_with_a_published_version(folder: Path) -> None:
    shown = mainstay("agreement", "diff", "2026-1", "--folder", str(folder))
    assert shown.returncode == 0
    said = " ".join(shown.stdout.split())
    assert "3.3 Renewing and stopping (changed)" in said
    assert "within the [-3 -]{+5 +}days" in said
    assert "renewal_window_days" in said
    found = told("agreement", "diff", "2026-1", "--folder", str(folder))
    assert [each["number"] for each in found["sections"]] == ["3.3"]
    assert found["parameters"] == [{"name": "renewal_window_days", "clause": "3.3", "old": 3, "new": 5}]
    chinese = told("agreement", "diff", "2026-1", "--folder", str(folder), "--language", "zh")
    assert (chinese["sections"], len(chinese["parameters"])) == ([], 1)


def test_what_cannot_be_compared_is_one_line(folder: Path) -> None:
    (folder / "zh.md").unlink()
    refused = mainstay("agreement", "diff", "2026-1", "--folder", str(folder))
    assert (refused.returncode, refused.stderr) == (1, "2099-1/zh.md: is missing\n")
    unknown = mainstay("agreement", "diff", "2026-1", "1999-1")
    assert (unknown.returncode, unknown.stderr) == (1, "There is no such version of the agreement.\n")
    for wrong in (("2026-1",), ("2026-1", "2026-1", "--folder", str(folder)), ("2026-1", "2026-1", "--language", "fr")):
        assert mainstay("agreement", "diff", *wrong).returncode == 2


def test_a_folder_shows_whom_it_would_reach(folder: Path) -> None:
    told("migrate", "contracts")
    early, late = changing("contracts", _two_contracts)
    found = told("agreement", "reach", str(folder))
    assert found["plans"] == [{"plan_code": "care-monthly-eur", "term_months": 1, "contracts": 2, "certain": 1}]
    assert {each["contract_id"]: each["certainty"] for each in found["contracts"]} == {
        str(early): "open",
        str(late): "certain",
    }
    assert found["next_after"] is None
    [rest] = told("agreement", "reach", str(folder), "--after", str(early))["contracts"]
    assert rest["contract_id"] == str(late)
    shown = mainstay("agreement", "reach", str(folder)).stdout
    assert "care-monthly-eur" in shown
    assert "certain" in shown


def test_a_version_in_effect_reaches_nobody_any_more(folder: Path) -> None:
    told("migrate", "contracts")
    refused = mainstay("agreement", "reach", "2026-1")
    assert refused.returncode == 1
    assert "in effect already" in refused.stderr


async def _two_contracts(tx: Transaction) -> tuple[UUID, UUID]:
    """One whose window is open when the version takes effect, one whose window opens later."""
    customer, found = new_id(), (new_id(), new_id())
    sha256 = agreements.published().version("2026-1").sha256(Language.EN)
    await tx.insert(
        customers,
        {"id": customer, "name": "Harbour Books", "language": "en", "zone": "UTC", "registered_at": tx.now},
    )
    text = {"agreement_version": "2026-1", "language": "en", "text_sha256": sha256}
    await tx.insert(accepted_texts, {**text, "text": "Agreed.", "first_accepted_at": tx.now})
    plan = {"plan_code": "care-monthly-eur", "plan_version": 1, "fee_minor": 24900, "currency": "EUR"}
    for contract, opens_at in zip(found, (SOON - timedelta(hours=1), SOON), strict=True):
        acceptance = new_id()
        own = {"customer_id": customer, "zone": "UTC", **plan, "agreement_version": "2026-1"}
        await tx.insert(contracts, {"id": contract, **own, **_served(tx, acceptance)})
        by: dict[str, Any] = {"accepted_by": "ada", "address": "", "channel": "portal", "accepted_at": tx.now}
        await tx.insert(acceptances, {"id": acceptance, "contract_id": contract, "period_index": 1, **text, **by})
        await tx.insert(
            periods,
            {
                "contract_id": contract,
                "period_index": 1,
                "status": "paid",
                "starts_at": tx.now,
                "ends_at": opens_at + timedelta(days=3),
                "window_opens_at": opens_at,
                "months": 1,
                "zone": "UTC",
                "anchor_day": 1,
                "anchor_time": tx.now.time(),
                "start_month": 1,
                "agreement_version": "2026-1",
                "acceptance_id": acceptance,
                **plan,
                "payment_id": new_id(),
            },
        )
    return found


def _served(tx: Transaction, acceptance: UUID) -> dict[str, Any]:
    return {
        "status": "active",
        "term_months": 1,
        "paper_bill": False,
        "acceptance_id": acceptance,
        "current_index": 1,
        "drafted_at": tx.now,
        "accepted_at": tx.now,
        "version": 1,
    }
