"""`mainstay migrate` on billing's database, with revisions of a next release behind the real ones."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from services.billing import opening as billing
from shared.kernel.ids import new_id
from shared.kit.db import Transaction
from shared.kit.revision_files import revisions_in
from shared.kit.tables import running_processes
from shared.kit.version import VERSION
from tests.deploy.cli.test_commands import changing, mainstay, told
from tests.kit.support import fresh_postgres_database

ADDS = ('phase = "expand"', 'op.add_column("payments", sa.Column("remark", sa.Text))')
TAKES_AWAY = (
    'phase = "contract"\noldest_version = "9.0.0"',
    '\n    with op.batch_alter_table("credit_entries") as batch: batch.drop_column("currency")',
)
STOPS_TRAFFIC = ('phase = "expand"', 'op.create_index("ix_payments_version", "payments", ["version"])')


@pytest.fixture
def revisions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Billing's folder of revisions, copied to where a test may add to it."""
    shutil.copytree(Path(billing.__file__).parent / "migrations", tmp_path / "billing" / "migrations")
    # The application looks for its revisions beside itself.
    monkeypatch.setattr(billing, "__file__", str(tmp_path / "billing" / "opening.py"))
    monkeypatch.setenv("MAINSTAY_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "billing" / "migrations"


@pytest.fixture
def postgres(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with fresh_postgres_database(request.getfixturevalue("postgres_server")) as url:
        monkeypatch.setenv("MAINSTAY_BILLING_DATABASE_URL", url)
        yield


def add(revisions: Path, *works: tuple[str, str]) -> list[str]:
    """The numbers of the revisions added."""
    last = int(revisions_in(revisions)[-1].number)
    numbers = [f"{last + step:04}" for step in range(1, len(works) + 1)]
    for number, (said, work) in zip(numbers, works, strict=True):
        (revisions / "versions" / f"{number}_do_it.py").write_text(
            f'"""Do it."""\nimport sqlalchemy as sa\nfrom alembic import op\nrevision = "{number}"\n'
            f'down_revision = "{int(number) - 1:04}"\n{said}\ndef upgrade():\n    {work}\n'
        )
    return numbers


def test_the_release_is_said() -> None:
    assert mainstay("--version").stdout.strip() == f"mainstay {VERSION}"


def test_a_dry_run_tells_the_sql_with_its_locks_and_changes_nothing(revisions: Path, postgres: None) -> None:
    told("migrate", "billing")
    adds, takes = add(revisions, ADDS, TAKES_AWAY)
    shown = told("migrate", "billing", "--dry-run")["pending"]["billing"]
    assert shown[0] == {
        "revision": adds,
        "title": "Do it.",
        "phase": "expand",
        "oldest_version": None,
        "runs": True,
        "refused": [],
        "statements": [{"sql": "ALTER TABLE payments ADD COLUMN remark TEXT", "lock": "ACCESS EXCLUSIVE"}],
    }
    assert (shown[1]["revision"], shown[1]["runs"]) == (takes, False)
    printed = mainstay("migrate", "billing", "--dry-run").stdout
    assert f"-- billing {takes}, contract (waits for --contract): Do it." in printed
    assert "-- locks ACCESS EXCLUSIVE\nALTER TABLE payments ADD COLUMN remark TEXT;" in printed
    assert told("migrate", "billing")["applied"]["billing"] == [adds]


def test_a_dry_run_on_sqlite_tells_how_a_table_is_rebuilt(revisions: Path) -> None:
    told("migrate", "billing")
    [takes] = add(revisions, TAKES_AWAY)
    [step] = told("migrate", "billing", "--contract", "--dry-run")["pending"]["billing"]
    assert [one["sql"].split()[0] for one in step["statements"]] == ["CREATE", "INSERT", "DROP", "ALTER", "CREATE"]
    assert told("migrate", "billing")["pending"]["billing"] == [takes]


def test_what_would_stop_traffic_is_told_by_a_dry_run_and_refused(revisions: Path, postgres: None) -> None:
    told("migrate", "billing")
    [number] = add(revisions, STOPS_TRAFFIC)
    [step] = told("migrate", "billing", "--dry-run", code=1)["pending"]["billing"]
    assert "nobody writes meanwhile" in step["refused"][0]
    found = told("migrate", "billing", code=1)
    assert (found["refused"]["billing"]["code"], found["pending"]["billing"]) == ("UnsafeRevision", [number])


def test_what_takes_away_waits_to_be_asked_for_and_for_older_processes(revisions: Path) -> None:
    told("migrate", "billing")
    _adds, takes = add(revisions, ADDS, TAKES_AWAY)
    assert "`mainstay migrate billing --contract`" in mainstay("migrate", "billing").stdout
    changing("billing", an_older_process)
    assert "still runs: api 8.9.0 on elsewhere" in mainstay("migrate", "billing", "--contract", "--dry-run").stdout
    done = mainstay("migrate", "billing", "--contract")
    assert done.returncode == 1
    assert done.stderr.startswith(f"billing: Revision {takes} takes away what releases before 9.0.0 need")
    changing("billing", lambda tx: tx.execute(sa.delete(running_processes)))
    assert told("migrate", "billing", "--contract")["applied"] == {"billing": [takes]}
    done = mainstay("parked", "list", "billing")
    assert (done.returncode, "for Mainstay 9.0.0 and later" in done.stderr) == (3, True)


async def an_older_process(tx: Transaction) -> None:
    now = await tx.database.real_now()
    process = {"id": new_id(), "role": "api", "version": "8.9.0", "host": "elsewhere"}
    await tx.insert(running_processes, {**process, "started_at": now, "seen_at": now})
