"""The HTTP edge of contracts."""

from __future__ import annotations

from fastapi import FastAPI

from services.contracts import consumers
from services.contracts.api import (
    acceptances,
    agreements,
    calendars,
    catalogue,
    clauses,
    condition_declarations,
    contracts,
    customers,
    disclosures,
    emergencies,
    evidence,
    extensions,
    incidents,
    readiness,
    refund_requests,
    secrets,
    software,
    warranty,
    work_in_progress,
    work_requests,
)
from shared.kit import decisions
from shared.kit.app import service_app
from shared.kit.runtime import Runtime


def create_app(runtime: Runtime) -> FastAPI:
    return service_app(
        runtime,
        title="Contracts",
        description="Customers, servers, software and secrets, the agreement, contracts, extensions, work, incidents.",
        routers=[
            agreements.router,
            clauses.router,
            catalogue.router,
            customers.router,
            contracts.router,
            extensions.router,
            acceptances.router,
            work_requests.router,
            condition_declarations.router,
            emergencies.router,
            incidents.router,
            readiness.router,
            software.router,
            software.bills,
            secrets.router,
            disclosures.router,
            refund_requests.router,
            warranty.router,
            work_in_progress.router,
            calendars.router,
            evidence.router,
            decisions.router(cite=clauses.cite),
        ],
        handlers=consumers.handlers,
    )
