"""A small company through three years, and proof that the simulation sees what goes wrong in it.

`MAINSTAY_SIMULATION_SEED`, `_CUSTOMERS` and `_YEARS` choose another life.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from services.backup.db import coverages as coverage_rows
from services.backup.db import remote_applications
from services.backup.use_cases import coverages
from services.billing.db import numbering
from services.billing.use_cases import credits
from services.contracts.domain.contract import Contract
from services.notify.db import feeds
from services.notify.use_cases import paging
from shared.kit.bus import positions
from tests.simulation.people import customers
from tests.simulation.simulation import simulate
from tests.simulation.told import PromiseBroken

SEED = int(os.environ.get("MAINSTAY_SIMULATION_SEED", "20270"))
CUSTOMERS = int(os.environ.get("MAINSTAY_SIMULATION_CUSTOMERS", "200"))
YEARS = float(os.environ.get("MAINSTAY_SIMULATION_YEARS", "3"))

DEADLY = {
    "before a commit",
    "after a commit",
    "in the middle of an append",
    "before a mail",
    "after a mail",
    "before a call of restic",
    "after a call of restic",
}
"""Every kind of step at which a process dies."""


@pytest.mark.timeout(3600)
async def test_a_small_company_keeps_its_promises() -> None:
    print(f"seed {SEED}, {CUSTOMERS} customers, {YEARS} years")
    result = await simulate(SEED, CUSTOMERS, YEARS)
    print(result)
    assert set(result.deaths) == DEADLY
    for kind in ("zone-changed", "emergency-acknowledged", "emergency-escalated", "remote-backup-ended"):
        assert result.figures[kind] > 0, kind
    assert result.figures["rewound"] > 0
    assert result.figures["replayed"] > 0


async def test_the_same_seed_lives_the_same_life_and_another_one_does_not() -> None:
    lives = [await simulate(seed, 3, 0.3) for seed in (1, 1, 2)]
    assert lives[0] == lives[1]
    assert lives[0].digest != lives[2].digest


async def _nothing(*_arguments: Any, **_options: Any) -> None:
    return None


def _forget_credit(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(credits, "credit", _nothing)


def _keep_protecting(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(coverages, "expire_service", _nothing)


def _ignore_payments_in_audit(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Contract, "_waiting_payments", lambda _contract: [])


def _apply_duplicates(patch: pytest.MonkeyPatch) -> None:
    judge = positions.judge

    def forgiving(*arguments: Any, **options: Any) -> positions.Verdict:
        verdict = judge(*arguments, **options)
        return positions.Verdict.NEXT if verdict is positions.Verdict.DUPLICATE else verdict

    async def nobody(*_arguments: Any) -> set[Any]:
        return set()

    patch.setattr(positions, "judge", forgiving)
    # Handlers cope with an event that they have had, so without this nobody would notice.
    patch.setattr(feeds, "who_has", nobody)


def _skip_a_number(patch: pytest.MonkeyPatch) -> None:
    next_in = numbering.next_in

    async def twice(*arguments: Any) -> Any:
        await next_in(*arguments)
        return await next_in(*arguments)

    patch.setattr(numbering, "next_in", twice)


def _tell_partners_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(feeds, "add", _nothing)


def _call_nobody(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(paging, "_page", _nothing)


def _protect_remotely_unasked(patch: pytest.MonkeyPatch) -> None:
    async def all_of(reader: Any, contract_id: Any) -> set[Any]:
        coverage = await coverage_rows.get_for_update(reader, contract_id)
        return set(coverage.server_ids or ())

    patch.setattr(remote_applications, "approved_of_contract", all_of)


@pytest.mark.parametrize(
    ("defect", "promise"),
    [
        (_forget_credit, "approved money settles"),
        (_keep_protecting, "exactly the servers of running services are protected"),
        (_ignore_payments_in_audit, "in audit"),
        (_apply_duplicates, "parked|once"),
        (_skip_a_number, "invoice numbers"),
        (_tell_partners_nothing, "feed of partner"),
        (_call_nobody, "has called somebody"),
        (_protect_remotely_unasked, "nothing is remote but"),
    ],
)
async def test_a_defect_is_seen(
    defect: Callable[[pytest.MonkeyPatch], None], promise: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(customers, "PLANS", {"care-monthly-eur": 1.0})
    defect(monkeypatch)
    with pytest.raises(PromiseBroken, match=promise):
        await simulate(4, 30, 1)
