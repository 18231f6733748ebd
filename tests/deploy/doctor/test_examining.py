"""The examination as a whole: bounded, never spoilt by one check, and silent about secrets."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from deploy.doctor import examining, identity, mail
from deploy.doctor.examining import examine
from deploy.doctor.finding import Finding, Patient, Severity
from tests.deploy.conftest import Given
from tests.infrastructure.process import free_port


async def test_a_check_that_hangs_and_one_that_fails_spoil_no_other(
    on_sqlite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hangs(patient: Patient) -> list[Finding]:
        await asyncio.Event().wait()
        return []

    async def fails(patient: Patient) -> list[Finding]:
        raise RuntimeError("the password is hunter2")

    monkeypatch.setattr(examining, "CHECK_SECONDS", 3.0)
    monkeypatch.setattr(mail, "look", hangs)
    monkeypatch.setattr(identity, "look", fails)
    found = [(one.part, one.severity, one.found) for one in await examine(["notify"])]
    assert ("identity provider", Severity.ERROR, "could not be looked at (RuntimeError)") in found
    assert ("mail server", Severity.WARNING, "could not be looked at within 3 s") in found
    assert found[0] == ("settings", Severity.OK, "development mode, 1 service(s)")


async def test_no_finding_tells_a_secret(on_sqlite: Path, given: Given) -> None:
    away = f"127.0.0.1:{free_port()}"
    databases = ("contracts", "billing", "backup", "notify")
    given(**{f"{name}_database_url": f"postgresql://m:hunter2@{away}/x" for name in databases})
    given(event_log_url=f"postgresql://m:hunter2@{away}/x", backup_repositories=f"rest:http://m:hunter2@{away}/m")
    given(notify_smtp_host="127.0.0.1", notify_smtp_port=away.rpartition(":")[2], notify_smtp_security="tls")
    given(notify_smtp_username="m", notify_smtp_password="hunter2", kafka_pasword="hunter2")
    findings = await examine(databases)
    assert {one.part for one in findings if one.severity is Severity.ERROR} == {
        "settings", "event log", "mail server", "backups", *(f"database of {name}" for name in databases)
    }  # fmt: skip
    assert "hunter2" not in str(findings)
    assert all(one.remedy for one in findings if one.severity is not Severity.OK)


async def test_one_service_is_looked_at_with_what_it_needs(on_sqlite: Path) -> None:
    assert {one.part for one in await examine(["contracts"])} == {
        "settings", "data folder", "keys", "database of contracts", "event log", "identity provider",
        "work of contracts", "vault",
    }  # fmt: skip
