"""Everything one service needs while it runs, opened and closed in one place."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prometheus_client import Gauge

from shared.kernel.clock import SystemClock
from shared.kit import audit_trail, virtual_clock
from shared.kit.auth import Authenticator, DevelopmentIssuer, DiscoveredKeys, KeySource, StaticKeys
from shared.kit.bus import outbox
from shared.kit.bus.doorbell import OUTBOX, Doorbell
from shared.kit.bus.log import EventLog
from shared.kit.db import Database
from shared.kit.on_postgresql import OnPostgresql
from shared.kit.rulebook import Rulebook
from shared.kit.settings import CommonSettings, ServiceSettings
from shared.kit.tracing import tracing_for

CONNECTIONS = Gauge("mainstay_database_connections_in_use", "Connections that somebody works with", ["service"])
CONNECTIONS_LIMIT = Gauge("mainstay_database_connections_limit", "Connections this process may open", ["service"])
CONNECTIONS_AWAITED = Gauge("mainstay_database_connections_awaited", "Callers who wait for a connection", ["service"])


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
    rules: Rulebook = field(default_factory=Rulebook)

    @property
    def data_dir(self) -> Path:
        return self.common.data_dir.absolute()

    async def close(self) -> None:
        for gauge in (CONNECTIONS, CONNECTIONS_LIMIT, CONNECTIONS_AWAITED):
            with suppress(KeyError):
                gauge.remove(self.name)
        await self.doorbell.close()
        await self.database.close()
        if self.database.tracing is not None:
            await self.database.tracing.close()


def open_runtime(
    name: str,
    settings: ServiceSettings,
    common: CommonSettings,
    *,
    migrations: Path,
    rules: Rulebook | None = None,
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
    database.tracing = tracing_for(name, common)
    _show_connections(name, database, common.pool_size)
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
        rules=rules or Rulebook(),
    )


def _show_connections(name: str, database: Database, limit: int) -> None:
    """Read when somebody asks for the metrics; SQLite has no connections to run out of."""
    driver = database.driver
    if isinstance(driver, OnPostgresql):
        CONNECTIONS.labels(name).set_function(lambda: driver.lent)
        CONNECTIONS_LIMIT.labels(name).set(limit)
        CONNECTIONS_AWAITED.labels(name).set_function(lambda: driver.waiting)


def authenticator_for(common: CommonSettings, keys: KeySource | None = None) -> Authenticator:
    """Verifies tokens of the configured issuer, or of the development issuer."""
    return Authenticator(
        keys or DiscoveredKeys(common.issuer, jwks_url=common.oidc_jwks_url),
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
        key_file=development_key_file(common),
    )


def development_key_file(common: CommonSettings) -> Path:
    return common.data_dir.absolute() / "keys" / "development-issuer.json"


def embedded_authenticator(common: CommonSettings) -> Authenticator:
    """For the process that itself runs the development issuer: no detour over HTTP."""
    if common.oidc_issuer is not None:
        return authenticator_for(common)
    return authenticator_for(common, StaticKeys(development_issuer(common).keys))
