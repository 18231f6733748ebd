"""Set-based statements, one per batch, that SQLAlchemy would send row by row or compile anew for each size."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from shared.kit.db import Reader, Transaction

_POSTGRESQL = postgresql.dialect()  # type: ignore[no-untyped-call]


def among(reader: Reader, column: sa.Column[Any], values: Collection[Any]) -> sa.ColumnElement[bool]:
    """`column` is one of `values`; one statement text for any number of them, so PostgreSQL prepares it once."""
    if reader.dialect == "postgresql":
        return column == sa.any_(sa.literal(list(values), postgresql.ARRAY(column.type)))
    return column.in_(list(values))


async def put(
    tx: Transaction,
    table: sa.Table,
    rows: Sequence[Mapping[str, Any]],
    *,
    on: tuple[str, ...] | None = None,
    update: tuple[str, ...] = (),
) -> None:
    """Insert all rows, which name the same columns, in their order.

    With `on`: a row that is there is left alone, or gets the columns `update`. `on=()` means any unique constraint.
    """
    if not rows:
        return
    columns = tuple(rows[0])
    if tx.dialect == "postgresql":
        arrays = {name: [_plain(table.c[name], row[name]) for row in rows] for name in columns}
        await tx.execute(_from_arrays(table, columns, on, update), arrays)
        return
    statement = sqlite.insert(table)
    if on is not None and update:
        statement = statement.on_conflict_do_update(
            index_elements=list(on), set_={name: statement.excluded[name] for name in update}
        )
    elif on is not None:
        statement = statement.on_conflict_do_nothing(index_elements=list(on) or None)
    await tx.execute(statement, list(rows))


def _plain(column: sa.Column[Any], value: Any) -> Any:
    return json.dumps(value) if isinstance(column.type, sa.JSON) and value is not None else value


@lru_cache(maxsize=64)
def _from_arrays(
    table: sa.Table, columns: tuple[str, ...], on: tuple[str, ...] | None, update: tuple[str, ...]
) -> sa.TextClause:
    quote = _POSTGRESQL.identifier_preparer.quote
    names = ", ".join(quote(name) for name in columns)
    arrays = ", ".join(f"CAST(:{name} AS {_array_type(table.c[name])})" for name in columns)
    conflict = ""
    if on is not None:
        target = f"({', '.join(map(quote, on))}) " if on else ""
        changes = ", ".join(f"{quote(name)} = excluded.{quote(name)}" for name in update)
        conflict = f" ON CONFLICT {target}DO " + (f"UPDATE SET {changes}" if update else "NOTHING")
    # The ordinality keeps serial ids in the order of the rows.
    return sa.text(
        f"INSERT INTO {quote(table.name)} ({names}) SELECT {names} "  # noqa: S608
        f"FROM unnest({arrays}) WITH ORDINALITY AS given({names}, place_) ORDER BY place_{conflict}"
    )


def _array_type(column: sa.Column[Any]) -> str:
    # A cast to VARCHAR(n) would cut silently; TEXT lets the column refuse what is too long.
    if isinstance(column.type, sa.String):
        return "TEXT[]"
    return f"{column.type.dialect_impl(_POSTGRESQL).compile(dialect=_POSTGRESQL)}[]"
