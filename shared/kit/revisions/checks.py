"""Constraints of tables that are in use: added, replaced or dropped without looking at a row."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op


def add_check(table: str, name: str, condition: str) -> None:
    """For rows written from now on. `name` is the whole name of the constraint."""
    if _on_postgresql():
        op.create_check_constraint(op.f(name), table, condition, postgresql_not_valid=True)
        return
    sql = _sql_of(table)
    end = sql.rindex(")")
    _change_sql(table, f"{sql[:end]}, CONSTRAINT {name} CHECK ({condition}){sql[end:]}")


def add_foreign_key(
    name: str, table: str, columns: Sequence[str], referred: str, referred_columns: Sequence[str]
) -> None:
    """For rows written from now on; on SQLite its columns are named as they are written."""
    if _on_postgresql():
        op.create_foreign_key(name, table, referred, list(columns), list(referred_columns), postgresql_not_valid=True)
        return
    sql = _sql_of(table)
    end = sql.rindex(")")
    _change_sql(table, f"{sql[:end]}, {_foreign_key(name, columns, referred, referred_columns)}{sql[end:]}")


def drop_foreign_key(
    name: str, table: str, columns: Sequence[str], referred: str, referred_columns: Sequence[str]
) -> None:
    """What `add_foreign_key` was given."""
    if _on_postgresql():
        op.drop_constraint(name, table, type_="foreignkey")
        return
    _drop_made(table, _foreign_key(name, columns, referred, referred_columns))


def drop_check(table: str, name: str, condition: str) -> None:
    """`condition` is the one it was made with."""
    if _on_postgresql():
        op.drop_constraint(op.f(name), table, type_="check")
        return
    _drop_made(table, f"CONSTRAINT {name} CHECK ({condition})")


def replace_check(table: str, name: str, *, old: str, new: str) -> None:
    """For a condition that is wider, so that every row there is complies, and older processes write nothing else."""
    drop_check(table, name, old)
    add_check(table, name, new)


def _on_postgresql() -> bool:
    return op.get_context().dialect.name == "postgresql"


def _foreign_key(name: str, columns: Sequence[str], referred: str, referred_columns: Sequence[str]) -> str:
    own, theirs = ", ".join(columns), ", ".join(referred_columns)
    return f"CONSTRAINT {name} FOREIGN KEY({own}) REFERENCES {referred} ({theirs})"


def _drop_made(table: str, made: str) -> None:
    sql = _sql_of(table)
    if made not in sql:
        raise ValueError(f"{table} has no such {made}")
    # The comma is before it: a table begins with its columns.
    before, after = sql.split(made)
    _change_sql(table, before.rstrip().removesuffix(",") + after)


def _sql_of(table: str) -> str:
    found: str = op.get_bind().execute(_WRITTEN, {"table": table}).scalar_one()
    return found


def _change_sql(table: str, sql: str) -> None:
    """By the procedure of SQLite's documentation for changes that leave the content as it is (lang_altertable, 7).

    Making the table anew instead would take its rows away from those that refer to them.
    """
    connection = op.get_bind()
    number = connection.execute(sa.text("PRAGMA schema_version")).scalar_one()
    connection.execute(sa.text("PRAGMA writable_schema=ON"))
    connection.execute(_WRITE, {"table": table, "sql": sql})
    connection.execute(sa.text(f"PRAGMA schema_version={int(number) + 1}"))
    connection.execute(sa.text("PRAGMA writable_schema=OFF"))


_WRITTEN = sa.text("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = :table")
_WRITE = sa.text("UPDATE sqlite_master SET sql = :sql WHERE type = 'table' AND name = :table")
