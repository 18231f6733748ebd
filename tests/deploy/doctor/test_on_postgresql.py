"""Databases that are away, refuse us or are not as this version needs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy.engine.url import make_url

from deploy.doctor import postgresql, settings
from deploy.doctor.examining import examine
from deploy.doctor.finding import Severity
from shared.kernel.ids import new_id
from shared.kit.version import VERSION
from tests.deploy.conftest import Given
from tests.deploy.doctor.conftest import Databases, ill, the_one
from tests.infrastructure import faketime, requirements
from tests.infrastructure.process import free_port

ROOT = Path(__file__).parents[3]


async def administered(databases: Databases, database: str, *statements: str) -> None:
    connection = await asyncpg.connect(databases.url("billing", database=database))
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def test_all_is_well_on_healthy_databases(on_postgresql: Databases) -> None:
    assert await ill() == []


async def test_a_wrong_password_is_named_and_not_told(on_postgresql: Databases, given: Given) -> None:
    given(billing_database_url=on_postgresql.url("billing", password="hunter2"))
    found = await the_one()
    assert (found.part, found.severity) == ("database of billing", Severity.ERROR)
    assert found.found.endswith("refuses role mainstay with this password")
    assert found.remedy == "correct the password in MAINSTAY_BILLING_DATABASE_URL"
    assert "hunter2" not in str(found)


async def test_a_server_that_is_away_is_named_and_the_others_are_looked_at(
    on_postgresql: Databases, given: Given
) -> None:
    port = str(free_port())
    given(notify_database_url=on_postgresql.url("notify", port=port))
    found = await the_one()
    assert (found.part, found.found) == ("database of notify", f"nothing listens at 127.0.0.1:{port}")
    assert found.remedy == "start PostgreSQL there, or correct MAINSTAY_NOTIFY_DATABASE_URL"


async def test_a_database_that_nobody_made_is_named(on_postgresql: Databases, given: Given) -> None:
    given(backup_database_url=on_postgresql.url("backup", database="doctor_none"))
    found = await the_one("backup")
    assert found.found.endswith("has no database doctor_none")
    assert found.remedy.startswith('CREATE DATABASE "doctor_none" OWNER "mainstay"')


@pytest.mark.parametrize(("mode", "severity"), [("development", Severity.WARNING), ("production", Severity.ERROR)])
async def test_pending_migrations_are_named_with_their_command(
    on_postgresql: Databases, given: Given, mode: str, severity: Severity
) -> None:
    name = f"doctor_{new_id().hex[-12:]}"
    on_postgresql.server.create_database(name)
    given(mode=mode, oidc_issuer="http://127.0.0.1", billing_database_url=on_postgresql.url("billing", database=name))
    pending = [one for one in await ill("billing") if one.found.startswith("lacks")]
    assert [(one.part, one.severity, one.remedy) for one in pending] == [
        ("database of billing", severity, "mainstay migrate billing")
    ]


async def test_a_database_that_is_only_for_later_releases_is_named(on_postgresql: Databases, given: Given) -> None:
    name = on_postgresql.copied("billing")
    given(billing_database_url=on_postgresql.url("billing", database=name))
    await administered(on_postgresql, name, "UPDATE alembic_version SET version_num = '9999'")
    assert await ill("billing") == []
    await administered(on_postgresql, name, "INSERT INTO version_floor VALUES (1, '99.0.0', '9999')")
    found = await the_one("billing")
    assert (found.severity, found.found) == (
        Severity.ERROR,
        f"is for Mainstay 99.0.0 and later, and this is {VERSION}",
    )
    assert found.remedy.startswith("run that release here")


async def test_a_role_without_rights_on_its_tables_is_named(on_postgresql: Databases, given: Given) -> None:
    name, role = on_postgresql.copied("billing"), f"doctor_{new_id().hex[-12:]}"
    await administered(on_postgresql, name, f"CREATE ROLE {role} LOGIN PASSWORD 'few-rights'")
    given(billing_database_url=on_postgresql.url("billing", database=name, user=role, password="few-rights"))
    found = await the_one("billing")
    assert found.found.startswith(f"role {role} may not read and write")
    assert found.remedy.startswith("make the role their owner")


async def test_a_role_with_fewer_connections_than_it_may_ask_for_is_warned_of(
    on_postgresql: Databases, given: Given
) -> None:
    role = f"doctor_{new_id().hex[-12:]}"
    owner = f"CREATE ROLE {role} SUPERUSER LOGIN PASSWORD 'few-connections' CONNECTION LIMIT 20"
    await administered(on_postgresql, "postgres", owner)
    given(billing_database_url=on_postgresql.url("billing", user=role, password="few-connections"))
    found = await the_one("billing")
    assert found.severity is Severity.WARNING
    assert "may ask for 24 connections, and 20 are to be had" in found.found


async def test_a_log_without_topics_is_named(on_postgresql: Databases, given: Given) -> None:
    name = on_postgresql.copied("log")
    gone = "DELETE FROM log_topics WHERE topic = 'billing.invoice'"
    await administered(on_postgresql, name, gone)
    given(event_log_url=on_postgresql.url("log", database=name))
    found = await the_one("billing")
    assert (found.part, found.found) == ("event log", "1 topic(s) are missing, such as billing.invoice")
    assert found.remedy == "mainstay topics ensure"


async def test_what_production_does_not_want_of_a_server_is_named(on_postgresql: Databases, given: Given) -> None:
    """The server of the tests forgets at a power cut, and its role is a superuser."""
    given(mode="production", oidc_issuer="http://127.0.0.1")
    said = {one.found for one in await ill("contracts") if one.part == "database of contracts"}
    assert said == {"role mainstay is a superuser", "forgets at a power cut what it has confirmed"}


async def test_whom_an_emergency_would_reach_is_told_of_a_production(on_postgresql: Databases, given: Given) -> None:
    own = on_postgresql.url("notify", database=on_postgresql.copied("notify"))
    given(mode="production", oidc_issuer="http://127.0.0.1", notify_database_url=own)

    async def told() -> tuple[Severity, str]:
        [one] = [one for one in await examine(["notify"]) if one.part == "on call"]
        assert (one.severity is Severity.OK) == (one.remedy == "")
        return one.severity, one.found

    async def on_notify(statement: str, *values: object) -> None:
        connection = await asyncpg.connect(own)
        try:
            await connection.execute(statement, *values)
        finally:
            await connection.close()

    assert await told() == (Severity.ERROR, "an emergency would reach nobody at all")
    await on_notify("INSERT INTO staff_contacts VALUES ('ada', 'ada@example.org', 'en', true, 1)")
    assert await told() == (Severity.WARNING, "nobody; an emergency would page the 1 administrator(s)")
    shift = "INSERT INTO on_call_shifts (id, subject, position, starts_at, ends_at, created_by, created_at) VALUES "
    await on_notify(f"{shift} ($1, 'ada', 1, now(), now() + interval '8 hours', 'grace', now())", new_id())
    assert await told() == (Severity.OK, "1 would be paged first")


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"version": 14}, "is PostgreSQL 14"),
        ({"is_standby": True}, "is a standby, which stores nothing"),
        ({"encoding": "LATIN1"}, "is encoded in LATIN1"),
        ({"has_schema": False}, "may use no schema"),
        ({"skew_seconds": -31.0}, "this machine's clock is 31 s behind the database's"),
    ],
    ids=str,
)
async def test_what_a_server_says_of_itself_is_judged(
    on_postgresql: Databases, changes: dict[str, object], found: str
) -> None:
    url = make_url(on_postgresql.url("billing"))
    healthy = await postgresql.ask("database", "MAINSTAY_BILLING_DATABASE_URL", url)
    patient, _ = settings.read(["billing"])
    assert patient is not None
    assert list(postgresql.judge(patient, "database", url, healthy, needed=1)) == []
    [judged] = postgresql.judge(patient, "database", url, replace(healthy, **changes), needed=1)  # type: ignore[arg-type]
    assert judged.severity is Severity.ERROR
    assert found in judged.found
    assert judged.remedy


def test_a_clock_that_is_off_is_told_by_the_command_in_json(on_postgresql: Databases) -> None:
    with requirements.or_do_without("faketime"):
        wrong = faketime.wrong_by(-90)
    done = subprocess.run(
        [sys.executable, "-m", "deploy.cli", "doctor", "--service", "contracts", "--json"],
        env={**os.environ, **wrong, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    told = json.loads(done.stdout)
    assert (done.returncode, done.stderr, told["errors"], told["warnings"]) == (1, "", 2, 0)
    assert {one["found"] for one in told["findings"] if one["severity"] == "error"} == {
        "this machine's clock is 90 s behind the database's"
    }
