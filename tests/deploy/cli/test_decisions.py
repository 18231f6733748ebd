"""`mainstay decisions replay`: what was decided comes out the same, or is named."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest
import sqlalchemy as sa

from services.billing.domain.tax import taxing
from shared.kernel.ids import new_id
from shared.kit import decisions, rulebook
from shared.kit.db import Transaction
from shared.kit.tables import decisions as kept
from tests.deploy.cli.test_commands import changing, folder, mainstay, told

__all__ = ["folder"]

AT_HOME = {
    "country": "DE",
    "seller_country": "DE",
    "in_tax_table": True,
    "both_in_the_eu": True,
    "tax_id_checked": False,
    "exemption_on_record": False,
}


async def taxed(tx: Transaction) -> UUID:
    """One more decision of billing; its id."""
    await decisions.judge(
        tx,
        taxing,
        subject_id=new_id(),
        customer_id=new_id(),
        agreement_version="2026-1",
        parameters={},
        facts=AT_HOME,
    )
    newest: UUID = await tx.scalar(sa.select(kept.c.id).order_by(kept.c.id.desc()).limit(1))
    return newest


def test_decisions_that_come_out_the_same_are_counted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told("migrate", "billing")
    monkeypatch.setattr(rulebook, "PAGE", 2)
    for _ in range(5):
        changing("billing", taxed)
    assert told("decisions", "replay", "billing") == {
        "billing": {"same": 5, "different": 0, "unjudged": 0, "named": []}
    }


def test_one_that_comes_out_otherwise_is_named_and_fails(folder: Path) -> None:
    told("migrate", "billing")
    changing("billing", taxed)
    changed = changing("billing", taxed)
    changing("billing", lambda tx: tx.execute(sa.update(kept).where(kept.c.id == changed).values(verdict="untaxed")))
    [named] = told("decisions", "replay", "billing", code=1)["billing"]["named"]
    assert (named["id"], named["verdict"], named["again"]) == (str(changed), "untaxed", "taxed")
    done = mainstay("decisions", "replay", "billing")
    said = f"billing: invoice.tax {changed} was untaxed by 3.6, and comes out as taxed by 3.6"
    assert (done.returncode, done.stderr.strip()) == (1, said)


def test_a_decision_older_than_the_rules_is_no_failure(folder: Path) -> None:
    told("migrate", "billing")
    changing("billing", taxed)
    changing("billing", lambda tx: tx.execute(sa.update(kept).values(parameters=sa.null(), kind="invoice-tax")))
    assert told("decisions", "replay", "billing")["billing"]["unjudged"] == 1


def test_all_services_are_looked_at_unless_one_is_named(folder: Path) -> None:
    told("migrate")
    assert set(told("decisions", "replay")) == {"contracts", "billing", "backup", "notify"}
    assert mainstay("decisions", "replay", "weather").returncode == 2
