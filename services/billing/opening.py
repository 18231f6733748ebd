"""Billing opened: its database, and the house in whose name it bills."""

from __future__ import annotations

from pathlib import Path

from services.billing import domain
from services.billing.db import houses
from services.billing.settings import BillingSettings, house_from
from shared.kit import runtime as kit_runtime
from shared.kit.auth import Authenticator
from shared.kit.bus.log import EventLog
from shared.kit.rulebook import Rulebook, every_rule_of
from shared.kit.runtime import Runtime
from shared.kit.settings import CommonSettings


def open_runtime(
    common: CommonSettings,
    *,
    log: EventLog | None = None,
    authenticator: Authenticator | None = None,
    settings: BillingSettings | None = None,
) -> Runtime:
    """Open billing's database; raises ValueError for settings it cannot bill with."""
    settings = settings or BillingSettings()
    house = house_from(settings)
    opened = kit_runtime.open_runtime(
        "billing",
        settings,
        common,
        migrations=Path(__file__).parent / "migrations",
        rules=Rulebook(every_rule_of(domain)),
        log=log,
        authenticator=authenticator,
    )
    houses.keep(opened.database, house)
    return opened
