"""Backup opened: its database, restic and the folders it reads and writes."""

from __future__ import annotations

from pathlib import Path

from services.backup import domain
from services.backup import gateways as real_gateways
from services.backup.gateways import Gateways
from services.backup.settings import BackupSettings
from shared.kit import runtime
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
    settings: BackupSettings | None = None,
    gateways: Gateways | None = None,
) -> Runtime:
    """The service's database and third parties; `gateways` only to put others in their place."""
    own = settings or BackupSettings()
    return runtime.open_runtime(
        "backup",
        own,
        common,
        migrations=Path(__file__).parent / "migrations",
        rules=Rulebook(every_rule_of(domain)),
        gateways=gateways or real_gateways.build(own, common),
        log=log,
        authenticator=authenticator,
    )
