"""A database on PostgreSQL: whether it lets us in, and what its server says of itself."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import asyncpg
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.engine.url import URL

from deploy.doctor.finding import Finding, Patient, error, warning
from deploy.doctor.migrations import Stand

CONNECT_SECONDS = 3
STATEMENT_SECONDS = 3
OLDEST = 15
SKEW_WARNING_SECONDS, SKEW_ERROR_SECONDS = 2.0, 30.0
"""The leeway with which the instants of a token are judged is thirty seconds."""
LISTENERS = 2
"""Connections of a process besides its pool: each doorbell holds one."""
PROCESSES_OF_A_SERVICE = 2
"""An API and a worker."""


@dataclass(frozen=True, kw_only=True)
class Server:
    """What a server says of itself and of the role that asks; `skew_seconds`: how far this machine's clock is ahead."""

    version: int
    encoding: str
    is_standby: bool
    skew_seconds: float
    connections: int
    connections_per_role: int
    """-1: as many as there are."""
    is_superuser: bool
    is_durable: bool
    logs_rows: bool
    is_encrypted: bool
    has_schema: bool
    tables_out_of_reach: int
    stand: Stand
    has_log: bool
    """Whether the tables of an event log are here."""


class NotLetIn(Exception):
    """Carries the finding that says why."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.found)
        self.finding = finding


async def ask(part: str, variable: str, url: URL) -> Server:
    """Raises NotLetIn. `variable` is the setting that has the URL."""
    try:
        connection = await _connected(url)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as trouble:
        raise NotLetIn(_why(part, variable, url, trouble)) from None
    try:
        return await _facts(connection)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as trouble:
        found = f"{_where(url)} let us in, but did not answer ({type(trouble).__name__})"
        raise NotLetIn(error(part, found, "look at the server's log")) from None
    finally:
        connection.terminate()


def judge(patient: Patient, part: str, url: URL, server: Server, *, needed: int) -> Iterator[Finding]:
    """`needed`: connections that one API and one worker of each service on this server take together."""
    role = url.username
    if server.version < OLDEST:
        yield error(part, f"is PostgreSQL {server.version}", f"move it to PostgreSQL {OLDEST} or later (pg_upgrade)")
    if server.is_standby:
        yield error(part, f"{_where(url)} is a standby, which stores nothing", "name the primary in the URL")
    if server.encoding != "UTF8":
        found = f"is encoded in {server.encoding}, which not every name can be written in"
        yield error(part, found, f"CREATE DATABASE … ENCODING 'UTF8', then move the rows of {url.database} there")
    yield from _clocks(part, server.skew_seconds)
    yield from _rights(part, url, server)
    yield from _connections(part, server, needed)
    if patient.in_production:
        yield from _for_production(part, role, server)


def _clocks(part: str, skew: float) -> Iterator[Finding]:
    if abs(skew) < SKEW_WARNING_SECONDS:
        return
    ahead = "ahead of" if skew > 0 else "behind"
    found = f"this machine's clock is {abs(skew):.0f} s {ahead} the database's"
    remedy = "have both machines' clocks set by NTP (chrony, systemd-timesyncd)"
    judged = error if abs(skew) >= SKEW_ERROR_SECONDS else warning
    yield judged(part, found, remedy)


def _rights(part: str, url: URL, server: Server) -> Iterator[Finding]:
    if not server.has_schema:
        remedy = f'GRANT USAGE, CREATE ON SCHEMA public TO "{url.username}"'
        yield error(part, f"role {url.username} may use no schema of it", remedy)
    if server.tables_out_of_reach:
        found = f"role {url.username} may not read and write {server.tables_out_of_reach} of its tables"
        remedy = f'make the role their owner: REASSIGN OWNED BY … TO "{url.username}"'
        yield error(part, found, remedy)


def _connections(part: str, server: Server, needed: int) -> Iterator[Finding]:
    limit = server.connections if server.connections_per_role < 0 else server.connections_per_role
    allowed = min(limit, server.connections)
    if needed > allowed:
        yield warning(
            part,
            f"an API and a worker of each service may ask for {needed} connections, and {allowed} are to be had",
            "raise max_connections (or the role's CONNECTION LIMIT), or lower MAINSTAY_POOL_SIZE",
        )


def _for_production(part: str, role: str | None, server: Server) -> Iterator[Finding]:
    if server.is_superuser:
        yield warning(part, f"role {role} is a superuser", f'ALTER ROLE "{role}" NOSUPERUSER')
    if not server.is_durable:
        found = "forgets at a power cut what it has confirmed"
        yield error(part, found, "set fsync, full_page_writes and synchronous_commit to on")
    if server.logs_rows:
        yield warning(
            part,
            "its log repeats the rows that a constraint refused",
            "ALTER SYSTEM SET log_error_verbosity = 'terse', then SELECT pg_reload_conf()",
        )
    if not server.is_encrypted:
        yield warning(part, "the connection to it is not encrypted", "add ?ssl=verify-full to its URL")


async def _connected(url: URL) -> Any:
    _, arguments = PGDialect_asyncpg().create_connect_args(url)  # type: ignore[no-untyped-call]
    arguments = {name: value for name, value in arguments.items() if not name.startswith("prepared_statement")}
    return await asyncpg.connect(
        **arguments,
        timeout=CONNECT_SECONDS,
        command_timeout=STATEMENT_SECONDS,
        server_settings={"application_name": "mainstay-doctor"},
    )


async def _facts(connection: Any) -> Server:
    row = await connection.fetchrow(_FACTS)
    asked, began = datetime.now(UTC), time.monotonic()
    theirs = await connection.fetchval("SELECT clock_timestamp()")
    half_way = (time.monotonic() - began) / 2
    revision = await connection.fetchval("SELECT version_num FROM alembic_version") if row["is_migrated"] else None
    oldest = await connection.fetchval("SELECT version FROM version_floor") if row["has_floor"] else None
    return Server(
        version=row["version"] // 10_000,
        encoding=row["encoding"],
        is_standby=row["is_standby"],
        skew_seconds=(asked - theirs).total_seconds() + half_way,
        connections=row["connections"],
        connections_per_role=row["connections_per_role"],
        is_superuser=row["is_superuser"],
        is_durable=row["is_durable"],
        logs_rows=row["logs_rows"],
        is_encrypted=row["is_encrypted"] or row["is_local"],
        has_schema=row["has_schema"],
        tables_out_of_reach=row["tables_out_of_reach"],
        stand=Stand(revision, oldest),
        has_log=row["has_log"],
    )


_FACTS = """
SELECT current_setting('server_version_num')::int AS version,
       current_setting('server_encoding') AS encoding,
       pg_is_in_recovery() AS is_standby,
       current_setting('max_connections')::int
         - current_setting('superuser_reserved_connections')::int AS connections,
       role.rolconnlimit AS connections_per_role,
       role.rolsuper AS is_superuser,
       current_setting('fsync') = 'on' AND current_setting('full_page_writes') = 'on'
         AND current_setting('synchronous_commit') <> 'off' AS is_durable,
       current_setting('log_error_verbosity') <> 'terse' AS logs_rows,
       coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false) AS is_encrypted,
       coalesce(inet_client_addr() <<= '127.0.0.0/8' OR inet_client_addr() = '::1', true) AS is_local,
       current_schema() IS NOT NULL AS has_schema,
       (SELECT count(*) FROM pg_class
         WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())
           AND relkind IN ('r', 'p')
           AND NOT (has_table_privilege(oid, 'SELECT') AND has_table_privilege(oid, 'INSERT')
             AND has_table_privilege(oid, 'UPDATE') AND has_table_privilege(oid, 'DELETE'))) AS tables_out_of_reach,
       coalesce(has_table_privilege(to_regclass('alembic_version'), 'SELECT'), false) AS is_migrated,
       coalesce(has_table_privilege(to_regclass('version_floor'), 'SELECT'), false) AS has_floor,
       to_regclass('log_topics') IS NOT NULL AS has_log
  FROM pg_roles AS role WHERE role.rolname = current_user
"""


def _why(part: str, variable: str, url: URL, trouble: BaseException) -> Finding:
    where, role, database = _where(url), url.username, url.database
    match trouble:
        case asyncpg.InvalidPasswordError() | asyncpg.InvalidAuthorizationSpecificationError():
            found, remedy = f"{where} refuses role {role} with this password", f"correct the password in {variable}"
        case asyncpg.InvalidCatalogNameError():
            found = f"{where} has no database {database}"
            remedy = f'CREATE DATABASE "{database}" OWNER "{role}", or correct {variable}'
        case asyncpg.TooManyConnectionsError():
            found = f"{where} has no connection left"
            remedy = "raise max_connections (or the role's CONNECTION LIMIT), or lower MAINSTAY_POOL_SIZE"
        case asyncpg.InsufficientPrivilegeError():
            found = f"role {role} may not connect to database {database}"
            remedy = f'GRANT CONNECT ON DATABASE "{database}" TO "{role}"'
        case asyncpg.CannotConnectNowError():
            found, remedy = f"{where} is starting or stopping", "wait, and look at the server's log"
        case asyncpg.ClientConfigurationError():
            found = f"the options in {variable} cannot be used"
            remedy = "correct what follows its ?; ssl=verify-full needs PGSSLROOTCERT: the authority's certificates"
        case ssl.SSLCertVerificationError():
            found = f"the certificate of {where} is not trusted ({trouble.verify_message})"
            remedy = f"name its authority in {variable}: ?ssl=verify-full with PGSSLROOTCERT"
        case socket.gaierror():
            found, remedy = f"the name {url.host} is not known", f"correct the host in {variable}, or the name server"
        case TimeoutError():
            found = f"{where} does not answer within {CONNECT_SECONDS} s"
            remedy = f"look whether it runs and no firewall is in between, or correct {variable}"
        case OSError():
            found, remedy = f"nothing listens at {where}", f"start PostgreSQL there, or correct {variable}"
        case _:
            found = f"{where} does not let us in ({type(trouble).__name__})"
            remedy = f"look at the server's log, or correct {variable}"
    return error(part, found, remedy)


def _where(url: URL) -> str:
    return f"{url.host or 'localhost'}:{url.port or 5432}"
