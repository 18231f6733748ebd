"""Contracts, opened and given its HTTP edge."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI

from services.contracts import consumers
from services.contracts import gateways as real_gateways
from services.contracts.api import (
    agreements,
    calendars,
    catalogue,
    clauses,
    condition_declarations,
    contracts,
    customers,
    disclosures,
    evidence,
    extensions,
    incidents,
    secrets,
    work_in_progress,
    work_requests,
)
from services.contracts.db import agreements as agreement_folders
from services.contracts.db import catalogue as catalogue_file
from services.contracts.domain.judgements import judgements
from services.contracts.gateways import Gateways
from services.contracts.settings import ContractsSettings
from shared.kit import decisions, runtime
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
    settings: ContractsSettings | None = None,
    gateways: Gateways | None = None,
) -> Runtime:
    """Open the service; raises when its agreements and catalogue do not fit together.

    `gateways` only to put others in the place of the real ones.
    """
    check_published()
    own = settings or ContractsSettings()
    return runtime.open_runtime(
        "contracts",
        own,
        common,
        migrations=Path(__file__).parent / "migrations",
        rules=Rulebook(judgements, agreement_folders.parameters_of),
        gateways=gateways or real_gateways.build(own, common),
        log=log,
        authenticator=authenticator,
    )


def check_published() -> None:
    """Every plan's currency has a mailing fee in every agreement; raises MailingFeeUnknown."""
    for agreement in agreement_folders.published().versions:
        for plan in catalogue_file.published().plans:
            agreement.parameters.mailing_fee(plan.fee.currency)


def create_app(runtime: Runtime) -> FastAPI:
    return service_app(
        runtime,
        title="Contracts",
        description="Customers, servers and their secrets, the agreement, contracts, extensions, work, incidents.",
        routers=[
            agreements.router,
            clauses.router,
            catalogue.router,
            customers.router,
            contracts.router,
            extensions.router,
            work_requests.router,
            condition_declarations.router,
            incidents.router,
            secrets.router,
            disclosures.router,
            work_in_progress.router,
            calendars.router,
            evidence.router,
            decisions.router(cite=clauses.cite),
        ],
        handlers=consumers.handlers,
    )
