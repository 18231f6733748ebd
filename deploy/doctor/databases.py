"""Each service's database, on PostgreSQL or in an SQLite file."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

from sqlalchemy.engine.url import URL, make_url
from sqlalchemy.exc import ArgumentError

from deploy.doctor import migrations, postgresql, sqlite_file
from deploy.doctor.finding import Finding, Patient, Severity, error, ok
from deploy.doctor.postgresql import LISTENERS, PROCESSES_OF_A_SERVICE, NotLetIn
from shared.kit.secret_files import PREFIX


def url_of(patient: Patient, service: str) -> URL | None:
    """None where the settings name none that can be used, which is said about the settings."""
    try:
        return make_url(patient.services[service].database_of(service, patient.common))
    except (ArgumentError, ValueError):
        return None


async def look(patient: Patient, service: str) -> list[Finding]:
    part, variable = f"database of {service}", f"{PREFIX}{service.upper()}_DATABASE_URL"
    url = url_of(patient, service)
    if url is None:
        if patient.in_production:
            return []
        return [error(part, f"{variable} is not a database URL", "postgresql://user:password@host/name")]
    if url.get_backend_name() == "sqlite":
        return await asyncio.to_thread(_in_file, patient, part, service, Path(url.database or ""))
    return await _on_server(patient, part, variable, service, url)


def _in_file(patient: Patient, part: str, service: str, path: Path) -> list[Finding]:
    def judge(connection: sqlite3.Connection) -> list[Finding]:
        return [migrations.compare(patient, part, service, sqlite_file.stand(connection))]

    return sqlite_file.look(patient, part, path, judge)


async def _on_server(patient: Patient, part: str, variable: str, service: str, url: URL) -> list[Finding]:
    try:
        server = await postgresql.ask(part, variable, url)
    except NotLetIn as refused:
        return [refused.finding]
    findings = [*postgresql.judge(patient, part, url, server, needed=_needed_of(patient, url))]
    if server.has_schema and not server.tables_out_of_reach:
        compared = migrations.compare(patient, part, service, server.stand)
        if compared.severity is not Severity.OK:
            findings.append(compared)
    told = f"PostgreSQL {server.version} at {url.host}, revision {server.stand.revision}"
    return findings or [ok(part, told)]


def _needed_of(patient: Patient, url: URL) -> int:
    """Connections that an API and a worker of each service on the same server take."""
    there = sum(_are_together(url, url_of(patient, other)) for other in patient.services)
    return there * PROCESSES_OF_A_SERVICE * (patient.common.pool_size + LISTENERS)


def _are_together(one: URL, other: URL | None) -> bool:
    return other is not None and (one.host, one.port) == (other.host, other.port)
