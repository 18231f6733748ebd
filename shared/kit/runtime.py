"""Everything one service needs while it runs, opened and closed in one place."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shared.kernel.clock import SystemClock
from shared.kit import audit_trail, virtual_clock
from shared.kit.auth import Authenticator, DevelopmentIssuer, DiscoveredKeys, KeySource, StaticKeys
from shared.kit.bus import outbox
from shared.kit.bus.doorbell import OUTBOX, Doorbell
from shared.kit.bus.log import EventLog
from shared.kit.db import Database
from shared.kit.settings import CommonSettings, ServiceSettings


@dataclass
class Runtime:
    """One service's database, event log, callers and third parties. `gateways` is the service's own."""

    name: str
    common: CommonSettings
    settings: ServiceSettings
    database: Database
    authenticator: Authenticator
    doorbell: Doorbell
    log: EventLog | None = None
    gateways: Any = None
    migrations: Path = field(default_factory=Path)

    @property
    def data_dir(self) -> Path:
        return self.common.data_dir.absolute()

    async def close(self) -> None:
        await self.doorbell.close()
        await self.database.close()


def open_runtime(
    name: str,
    settings: ServiceSettings,
    common: CommonSettings,
    *,
    migrations: Path,
    gateways: Any = None,
    log: EventLog | None = None,
    authenticator: Authenticator | None = None,
) -> Runtime:
    """Open the service's database and wire what every command needs; `log` only where a worker runs."""
    database = Database(
        settings.database_of(name, common),
        clock=SystemClock(),
        pool_size=common.pool_size,
        name=f"mainstay-{name}",
    )
    database.commit_hooks = [outbox.flush, audit_trail.flush]
    doorbell = Doorbell(database, OUTBOX)
    database.doorbells = [doorbell.ring]
    if common.clock == "virtual":
        database.now_in = virtual_clock.now_in
    return Runtime(
        name=name,
        common=common,
        settings=settings,
        database=database,
        authenticator=authenticator or authenticator_for(common),
        doorbell=doorbell,
        log=log,
        gateways=gateways,
        migrations=migrations,
    )


def authenticator_for(common: CommonSettings, keys: KeySource | None = None) -> Authenticator:
    """Verifies tokens of the configured issuer, or of the development issuer."""
    return Authenticator(
        keys or DiscoveredKeys(common.issuer),
        issuer=common.issuer,
        audience=common.oidc_audience,
        algorithms=common.oidc_algorithms,
        roles_claim=common.oidc_roles_claim,
    )


def development_issuer(common: CommonSettings) -> DevelopmentIssuer:
    """The built-in issuer; raises ValueError in production mode."""
    if common.mode == "production":
        raise ValueError("the development issuer does not start in production mode")
    return DevelopmentIssuer(
        issuer=common.issuer,
        audience=common.oidc_audience,
        key_file=common.data_dir.absolute() / "keys" / "development-issuer.json",
    )


def embedded_authenticator(common: CommonSettings) -> Authenticator:
    """For the process that itself runs the development issuer: no detour over HTTP."""
    if common.oidc_issuer is not None:
        return authenticator_for(common)
    return authenticator_for(common, StaticKeys(development_issuer(common).keys))
