"""The HTTP edge of billing."""

from __future__ import annotations

from fastapi import FastAPI

from services.billing import consumers
from services.billing.api import credit_notes, credits, invoices, payments, profiles, refunds
from shared.kit import decisions
from shared.kit.app import service_app
from shared.kit.runtime import Runtime


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
