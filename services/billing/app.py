"""Billing as an application: its runtime and its HTTP edge."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI

from services.billing import consumers
from services.billing.api import credit_notes, credits, invoices, payments, profiles, refunds
from services.billing.db import houses
from services.billing.domain.judgements import judgements
from services.billing.settings import BillingSettings, house_from
from shared.kit import decisions
from shared.kit import runtime as kit_runtime
from shared.kit.app import service_app
from shared.kit.auth import Authenticator
from shared.kit.bus.log import EventLog
from shared.kit.rulebook import Rulebook
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
        rules=Rulebook(judgements),
        log=log,
        authenticator=authenticator,
    )
    houses.keep(opened.database, house)
    return opened


def create_app(runtime: Runtime) -> FastAPI:
    return service_app(
        runtime,
        title="Billing",
        description="Billing profiles, invoices, payments with evidence, their audit, credit, refunds, credit notes.",
        routers=[
            profiles.router,
            invoices.router,
            payments.router,
            credits.router,
            refunds.router,
            credit_notes.router,
            decisions.router(),
        ],
        handlers=consumers.handlers,
    )
