"""The restic program, where the repositories are, and whether the backup key opens one."""

from __future__ import annotations

import re
from pathlib import Path
from uuid import UUID

import httpx
import sqlalchemy as sa

from deploy.doctor.databases import url_of
from deploy.doctor.finding import Finding, Patient, error, ok, warning, without_user
from deploy.doctor.reading import NO_ANSWER, reading
from services.backup.db.tables import protections
from services.backup.domain.protection import LOCAL
from services.backup.gateways import build
from services.backup.gateways.restic import Repository, ResticFailed, ResticMissing, WrongPassword
from services.backup.gateways.restic_client import ResticClient
from services.backup.settings import BackupSettings

PART = "backups"
OLDEST = (0, 14)
"""`--json` of a backup with its summary, and `--retry-lock` where there is one; tested from here on."""
ANSWER_SECONDS = 3
REPOSITORIES = "MAINSTAY_BACKUP_REPOSITORIES"


async def look(patient: Patient) -> list[Finding]:
    settings = patient.services.get("backup")
    if not isinstance(settings, BackupSettings):
        return []
    named = settings.repositories
    base = named.get_secret_value() if named else str(patient.data_dir / "repositories")
    restic = build(settings, patient.common).restic
    assert isinstance(restic, ResticClient)
    findings = await _program(patient, settings, restic)
    for variable, place in ({REPOSITORIES: base} | settings.named_repositories()).items():
        findings += await _place(patient, place, variable)
    if not findings:
        findings += await _key(patient, restic)
    if findings:
        return findings
    major, minor = await restic.version()
    return [ok(PART, f"restic {major}.{minor}, repositories at {without_user(base)}")]


async def _program(patient: Patient, settings: BackupSettings, restic: ResticClient) -> list[Finding]:
    remedy = "apt-get install restic (or restic.net), or set MAINSTAY_BACKUP_RESTIC to its path"
    try:
        version = await restic.version()
    except ResticMissing:
        return [patient.waits(PART, f"there is no program {settings.restic}", remedy)]
    except (ResticFailed, OSError):
        return [error(PART, f"{settings.restic} is not restic: it does not tell its version", remedy)]
    if version < OLDEST:
        told = f"restic is {version[0]}.{version[1]}, and {OLDEST[0]}.{OLDEST[1]} or later is needed"
        return [error(PART, told, "restic self-update, or your distribution's newer package")]
    return []


async def _place(patient: Patient, base: str, variable: str) -> list[Finding]:
    if base.startswith("rest:"):
        return await _server(base.removeprefix("rest:"), variable)
    if re.match(r"[a-z0-9]+:", base):
        return []
    if patient.in_production and Path(base).is_relative_to(patient.data_dir):
        found = "the repositories are in the data folder, and would be lost with it"
        return [warning(PART, found, f"set {variable} to another machine: rest:https://user:password@host/user")]
    return []


async def _server(address: str, variable: str) -> list[Finding]:
    """What a rest-server answers to a question for a repository at the top, where there is none."""
    shown = without_user(address)
    try:
        async with httpx.AsyncClient(timeout=ANSWER_SECONDS) as client:
            answer = await client.head(f"{address.rstrip('/')}/config")
    except (httpx.HTTPError, httpx.InvalidURL) as trouble:
        found = f"{shown} does not answer ({type(trouble).__name__})"
        return [error(PART, found, f"look whether rest-server runs there, or correct {variable}")]
    if answer.status_code in {401, 403}:
        found = f"{shown} refuses the user and password ({answer.status_code})"
        return [error(PART, found, f"correct them in {variable}: its path begins with the user's name")]
    if answer.status_code >= 500:
        return [error(PART, f"{shown} answers {answer.status_code}", "look at the log of rest-server")]
    return []


async def _key(patient: Patient, restic: ResticClient) -> list[Finding]:
    """Opens the repository of one protection that has a backup."""
    repository = await _some_repository(patient)
    if repository is None:
        return []
    try:
        await restic.find(repository, "doctor")
    except WrongPassword:
        found = f"the backup key does not open {repository.name}"
        return [error(PART, found, "put the key it was made with back: MAINSTAY_BACKUP_KEY_FILE")]
    except (ResticFailed, ResticMissing) as refused:
        return [error(PART, f"{repository.name} cannot be read: {refused}", "mainstay timers parked backup says more")]
    return []


async def _some_repository(patient: Patient) -> Repository | None:
    """None also where the database does not tell, which is said about the database."""
    columns = protections.c
    made = sa.and_(columns.last_success_at.is_not(None), columns.data_deleted_at.is_(None), columns.place == LOCAL)
    try:
        async with reading(url_of(patient, "backup")) as reader:
            row = await reader.row(sa.select(columns.server_id, columns.id).where(made).limit(1)) if reader else None
    except NO_ANSWER:
        return None
    return None if row is None else Repository(UUID(str(row.server_id)), UUID(str(row.id)))
