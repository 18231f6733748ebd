"""A database in an SQLite file: opened for reading only, and never made."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

from deploy.doctor.finding import Finding, Patient, error
from deploy.doctor.migrations import Stand

OLDEST = (3, 35)
"""RETURNING, UPDATE … FROM and upserts."""


def look(
    patient: Patient, part: str, path: Path, judge: Callable[[sqlite3.Connection], list[Finding]]
) -> list[Finding]:
    """What `judge` says of the open file; or why it cannot be opened."""
    if sqlite3.sqlite_version_info < OLDEST:
        found = f"SQLite is {sqlite3.sqlite_version}, and {OLDEST[0]}.{OLDEST[1]} or later is needed"
        return [error(part, found, "run with a Python that has a newer SQLite")]
    if not path.exists():
        return [patient.waits(part, f"there is no {path} yet", "the first start makes it: mainstay run")]
    try:
        connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=2)
        try:
            return judge(connection)
        finally:
            connection.close()
    except sqlite3.DatabaseError as trouble:
        # Of the file, not of its rows: "file is not a database", "unable to open database file".
        return [error(part, f"{path} cannot be read: {trouble}", f"restore {path.name} from your backup")]


def has_table(connection: sqlite3.Connection, table: str) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone() is not None


def stand(connection: sqlite3.Connection) -> Stand:
    """Where its migrations have left it."""

    def first(table: str, column: str) -> str | None:
        row = connection.execute(f"SELECT {column} FROM {table}").fetchone() if has_table(connection, table) else None  # noqa: S608
        return None if row is None else str(row[0])

    return Stand(first("alembic_version", "version_num"), first("version_floor", "version"))
