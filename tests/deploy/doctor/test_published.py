"""Files that are not any more what customers accepted: the doctor names them, and nobody serves."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from deploy import environment
from deploy.doctor.finding import Severity
from deploy.embedded.company import open_company
from deploy.opening import CannotOpen
from deploy.services import open_service
from deploy.split import single
from services.contracts.db import agreements
from services.contracts.db.agreements import UnusableFolder
from services.contracts.db.tables import accepted_texts, accepted_versions, bought_plans
from tests.deploy.doctor.conftest import ill, the_one

ACCEPTED = "0" * 64
AT = datetime(2030, 1, 1, tzinfo=UTC)


async def accepted_otherwise() -> None:
    """Customers accepted and bought what is not in these files."""
    runtime = open_service("contracts", environment.read_common(), settings=environment.read_service("contracts"))
    try:
        async with runtime.database.transaction() as tx:
            text = {"agreement_version": "2026-1", "language": "en", "text_sha256": ACCEPTED, "text": "We agree."}
            await tx.insert(accepted_texts, {**text, "first_accepted_at": AT})
            terms = {"agreement_version": "2026-1", "terms_sha256": ACCEPTED, "terms": "{}"}
            await tx.insert(accepted_versions, {**terms, "first_accepted_at": AT})
            plan = {"plan_code": "gold", "plan_version": 3, "definition_sha256": ACCEPTED, "definition": "{}"}
            await tx.insert(bought_plans, {**plan, "first_bought_at": AT})
    finally:
        await runtime.close()


async def test_each_file_that_was_changed_is_named(on_sqlite: Path) -> None:
    await accepted_otherwise()
    found = await ill("contracts")
    assert {one.part for one in found} == {"published by contracts"}
    assert {one.severity for one in found} == {Severity.ERROR}
    assert [one.found.split(":")[0] for one in found] == [
        "agreements/2026-1/en.md",
        "agreements/2026-1/parameters.toml",
        "catalogue.toml",
    ]
    assert "put back" in found[0].remedy
    assert await ill("billing") == []


async def test_a_folder_that_nobody_can_read_is_named(on_sqlite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unusable() -> None:
        raise UnusableFolder("2031-1/en.md: lacks clause 3.2")

    monkeypatch.setattr(agreements, "published", unusable)
    said = await the_one("contracts")
    assert (said.part, said.found) == ("published by contracts", "2031-1/en.md: lacks clause 3.2")


async def test_neither_a_service_alone_nor_a_whole_company_serves_then(on_sqlite: Path) -> None:
    await accepted_otherwise()
    told = environment.read_whole()
    with pytest.raises(CannotOpen, match=r"agreements/2026-1/en\.md: customers accepted another text"):
        async with single.opened("contracts", told):
            pass
    with pytest.raises(CannotOpen, match=r"plan gold, version 3: somebody bought it, and it is gone"):
        async with open_company(told.common, told.services, smtp_port=None):
            pass
