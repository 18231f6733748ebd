"""Opens what a process needs before it serves: the event log, services' databases, their migrations."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog
from asyncpg import PostgresError
from sqlalchemy.exc import DBAPIError

from deploy.environment import PREFIX, WrongSettings, explained
from deploy.moving.mark import mark_of
from deploy.services import changed_since_accepted, open_service
from shared.events.registry import TOPICS
from shared.kernel.errors import Unavailable
from shared.kit import migrations, presence
from shared.kit.bus.log import EventLog, LogAway, LogRefused
from shared.kit.db import Database, LockedByAnother
from shared.kit.presence import OlderProcessRuns, TooOld
from shared.kit.revision_files import Revision
from shared.kit.runtime import Runtime
from shared.kit.settings import CommonSettings, ServiceSettings

if TYPE_CHECKING:
    from shared.kit.bus.kafka_client import KafkaSettings
    from shared.kit.bus.kafka_log import KafkaLog

AWAY = (OSError, DBAPIError, PostgresError, Unavailable)
logger = structlog.get_logger("opening")

RECORDS_KEPT_FOR = timedelta(days=30)
FORGET_EVERY_SECONDS = 3600.0


class CannotOpen(Exception):
    """Something this process cannot do without is away."""


@asynccontextmanager
async def opened_log(common: CommonSettings) -> AsyncIterator[EventLog]:
    """The configured adapter with its tables or client; raises WrongSettings, CannotOpen."""
    if common.event_log == "kafka":
        from shared.kit.bus.kafka_log import KafkaLog

        kafka = KafkaLog(kafka_settings(common))
        try:
            await _insist_on_entry(kafka)
            yield kafka
        finally:
            await kafka.close()
        return
    from shared.kit.bus.sql_log import SqlLog

    if common.mode == "production" and common.event_log_url is None:
        raise WrongSettings(f"{PREFIX}EVENT_LOG_URL: production needs PostgreSQL or Kafka for its events")
    with explained(f"{PREFIX}EVENT_LOG_", database_url="URL"):
        database = Database(common.sql_log_url, pool_size=common.pool_size, name="mainstay-log")
    try:
        log = SqlLog(database)
        try:
            await log.create()
        except AWAY as error:
            raise _away("the event log", database) from error
        try:
            yield log
        finally:
            await log.close()
    finally:
        await database.close()


def open_explained(service: str, common: CommonSettings, settings: ServiceSettings) -> Runtime:
    """As open_service; raises WrongSettings."""
    with explained(f"{PREFIX}{service.upper()}_"):
        return open_service(service, common, settings=settings)


async def _insist_on_entry(log: KafkaLog) -> None:
    """Brokers that are away may come; brokers that refuse us will not change their mind. Raises CannotOpen."""
    if log.settings.security_protocol == "PLAINTEXT":
        return
    try:
        await log.knock()
    except LogRefused as refused:
        raise CannotOpen(refused.detail) from refused
    except LogAway:
        return


def kafka_settings(common: CommonSettings) -> KafkaSettings:
    """Raises WrongSettings."""
    import ssl

    from shared.kit.bus.kafka_client import KafkaSettings

    protocol = common.kafka_security_protocol
    encrypted = protocol in {"SSL", "SASL_SSL"}
    entry = {"USERNAME": common.kafka_username, "PASSWORD": common.kafka_password}
    if protocol.startswith("SASL") and not all(entry.values()):
        raise WrongSettings(*(f"{PREFIX}KAFKA_{name}: {protocol} needs it" for name in entry if not entry[name]))
    with explained(f"{PREFIX}KAFKA_CA_FILE"):
        context = ssl.create_default_context(cafile=common.kafka_ca_file) if encrypted else None
    return KafkaSettings(
        bootstrap=common.kafka_bootstrap,
        security_protocol=common.kafka_security_protocol,
        sasl_mechanism=common.kafka_sasl_mechanism,
        username=common.kafka_username,
        password=common.kafka_password.get_secret_value() if common.kafka_password else None,
        ssl_context=context,
        session_seconds=common.kafka_session_seconds,
        group_instance_id=common.kafka_instance_id,
        partitions=common.kafka_partitions,
        replication=common.kafka_replication,
        retention=timedelta(days=common.kafka_retention_days),
    )


async def ensure_topics(log: EventLog) -> None:
    try:
        await log.ensure_topics(TOPICS)
    except Unavailable as away:
        raise CannotOpen(f"The event log does not answer: {away.detail}") from away


async def forget_old_records(log: EventLog, stop: asyncio.Event) -> None:
    """Keep an SQL log short until `stop`; Kafka has its own retention. Several processes may do so at once."""
    from shared.kit.bus.sql_log import SqlLog

    while isinstance(log, SqlLog) and not stop.is_set():
        with suppress(Unavailable, LockedByAnother):
            # As often as it finds a full batch; each batch is a transaction of its own.
            while await log.forget(await log.database.real_now() - RECORDS_KEPT_FOR) and not stop.is_set():
                continue
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), FORGET_EVERY_SECONDS)


async def migrate(runtime: Runtime, *, contract: bool = False) -> list[str]:
    """Apply what is pending, contract revisions only when told to; returns the revisions applied.

    Raises CannotOpen, and the refusals of shared.kit.migrations.upgrade.
    """
    if not await pending(runtime):
        return []
    applied = await migrations.upgrade(runtime.database, runtime.migrations, contract=contract)
    return [step.number for step in applied]


async def bring_up_to_date(runtime: Runtime) -> list[str]:
    """For who starts a whole company: apply all that may be applied now; contract revisions wait for older processes.

    Returns the revisions applied; raises as `migrate` and `insist_up_to_date`.
    """
    applied = await migrate(runtime)
    try:
        applied += await migrate(runtime, contract=True)
    except OlderProcessRuns as refusal:
        logger.warning("contract revisions wait", service=runtime.name, reason=refusal.detail)
    await insist_up_to_date(runtime)
    return applied


async def insist_up_to_date(runtime: Runtime) -> None:
    """Raises CannotOpen when migrations are missing, or when the database is one for later releases."""
    missing = migrations.lacking(await pending(runtime))
    if missing:
        option = " --contract" if any(step.phase == "contract" for step in missing) else ""
        raise CannotOpen(
            f"The database of {runtime.name} lacks {len(missing)} migration(s): "
            f"run `mainstay migrate {runtime.name}{option}`."
        )
    with _too_old_said_of(runtime):
        await presence.insist_young_enough(runtime.database)


async def insist_as_accepted(runtime: Runtime) -> None:
    """Raises CannotOpen, naming each published file that was changed after somebody accepted or bought it."""
    async with runtime.database.reading() as reader:
        changed = await changed_since_accepted(runtime.name, reader)
    if changed:
        raise CannotOpen("\n".join([*changed, "Put back what was published, and publish changes as a new version."]))


@asynccontextmanager
async def present(runtime: Runtime, role: str, leave: Callable[[], object]) -> AsyncIterator[None]:
    """Count among the processes that use the database; raises CannotOpen. `leave`: see shared.kit.presence."""
    async with AsyncExitStack() as stack:
        with _too_old_said_of(runtime):
            await stack.enter_async_context(presence.present(runtime.database, role, leave))
        yield


@contextmanager
def _too_old_said_of(runtime: Runtime) -> Iterator[None]:
    try:
        yield
    except TooOld as too_old:
        raise CannotOpen(f"The database of {runtime.name} is not for this release. {too_old.detail}") from None


async def pending(runtime: Runtime) -> list[Revision]:
    """Revisions not yet applied, oldest first; raises CannotOpen, also for a database that is only half restored."""
    try:
        if await mark_of(runtime.database) is not None:
            raise CannotOpen(
                f"The database of {runtime.name} is being restored, or a restore was cut off: do that to its end."
            )
        return await migrations.pending(runtime.database, runtime.migrations)
    except AWAY as error:
        raise _away(f"the database of {runtime.name}", runtime.database) from error


def _away(what: str, database: Database) -> CannotOpen:
    where = database.url.render_as_string(hide_password=True)
    return CannotOpen(f"{what[0].upper()}{what[1:]} does not answer ({where}).")
