"""The agreements and plans of the simulated company: the shipped ones, and a newer version half-way through.

Backups are made every few months instead of daily, or they would be nine tenths of all that happens.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache

from services.contracts.db import agreements, catalogue
from services.contracts.domain.agreement import Agreement, Agreements
from services.contracts.domain.catalogue import Catalogue

START = datetime(2027, 11, 1, tzinfo=UTC)
"""A leap day, three New Years and six clock changes lie in the three years from here."""
FIRST, SECOND = "simulated-1", "simulated-2"


@lru_cache(maxsize=1)
def simulated_agreements() -> Agreements:
    """The second version has a longer window, other backups and no e-mail channel."""
    shipped = agreements.read_folder(agreements.FOLDER).versions[0]
    first = _version(shipped, FIRST, START, local_backup_every_hours=24 * 240, remote_backup_every_hours=24 * 240)
    second = _version(
        shipped,
        SECOND,
        datetime(2029, 3, 1, tzinfo=UTC),
        local_backup_every_hours=24 * 180,
        remote_backup_every_hours=24 * 180,
        renewal_window_days=5,
        retention_days=45,
        written_channels=("portal", "api"),
    )
    return Agreements((first, second))


def _version(shipped: Agreement, version: str, effective_from: datetime, **changes: object) -> Agreement:
    return replace(
        shipped,
        version=version,
        effective_from=effective_from,
        texts={language: f"{text}\n{version}\n" for language, text in shipped.texts.items()},
        parameters=replace(shipped.parameters, **changes),  # type: ignore[arg-type]
    )


@lru_cache(maxsize=1)
def simulated_catalogue() -> Catalogue:
    """With quarterly plans besides."""
    shipped = catalogue.read_file(catalogue.FILE)
    monthly = {plan.code: plan for plan in shipped.plans}
    quarterly = tuple(
        replace(monthly[f"care-monthly-{currency}"], code=f"care-quarterly-{currency}", term_months=3)
        for currency in ("eur", "usd", "cny")
    )
    return Catalogue((*shipped.plans, *quarterly), shipped.operations)
