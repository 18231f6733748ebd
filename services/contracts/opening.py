"""Contracts opened: its database, its agreements and catalogue, and whoever keeps its keys."""

from __future__ import annotations

from pathlib import Path

from services.contracts import domain
from services.contracts import gateways as real_gateways
from services.contracts.db import agreements as agreement_folders
from services.contracts.db import catalogue as catalogue_file
from services.contracts.db import published
from services.contracts.gateways import Gateways
from services.contracts.settings import ContractsSettings
from shared.kit import runtime
from shared.kit.auth import Authenticator
from shared.kit.bus.log import EventLog
from shared.kit.db import Reader
from shared.kit.rulebook import Rulebook, every_rule_of
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
        rules=Rulebook(every_rule_of(domain), agreement_folders.parameters_of),
        gateways=gateways or real_gateways.build(own, common),
        log=log,
        authenticator=authenticator,
    )


def check_published() -> None:
    """Every plan fits every agreement: its currency has a mailing fee, its backups are made often enough.

    Raises MailingFeeUnknown, and ValueError for what else is wrong with a folder or the catalogue.
    """
    for agreement in agreement_folders.published().versions:
        most = agreement.parameters.local_backup_every_hours
        for plan in catalogue_file.published().plans:
            agreement.parameters.mailing_fee(plan.fee.currency)
            if plan.local_backup_every_hours is not None and plan.local_backup_every_hours > most:
                raise ValueError(
                    f"catalogue.toml: plans {plan.code}: a backup every {plan.local_backup_every_hours} h "
                    f"is less often than agreement {agreement.version} promises (2.2: {most} h)"
                )


async def changed_since_accepted(reader: Reader) -> list[str]:
    """A line for each file that is not any more what somebody accepted or bought; such a process must not serve."""
    return await published.changed_since(reader, agreement_folders.published(), catalogue_file.published())
