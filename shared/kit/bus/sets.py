"""Set-based statements, one per batch, that SQLAlchemy would send row by row or compile anew for each size."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from shared.kit.db import Reader, Transaction
from shared.kit.statements import Fixed

_POSTGRESQL = postgresql.dialect()  # type: ignore[no-untyped-call]


def among(reader: Reader, column: sa.Column[Any], values: Collection[Any]) -> sa.ColumnElement[bool]:
    """`column` is one of `values`; one statement text for any number of them, so it is compiled and prepared once."""
    return _among(reader.dialect, column, lambda kind: sa.literal(list(values), kind))


def among_given(dialect: str, column: sa.Column[Any], name: str) -> sa.ColumnElement[bool]:
    """The same for a Fixed statement, which is given the list as parameter `name`."""
    return _among(dialect, column, lambda kind: sa.bindparam(name, type_=kind))


def _among(dialect: str, column: sa.Column[Any], listed: Callable[[Any], Any]) -> sa.ColumnElement[bool]:
    if dialect == "postgresql":
        return column == sa.any_(listed(postgresql.ARRAY(column.type)))
    found = sa.func.json_each(listed(_JsonList(column.type))).table_valued("value")
    return column.in_(sa.select(found.c.value))


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
        await tx.execute(_insert_from_arrays(table, columns, on, update), _arrays(table, rows))
    else:
        await tx.execute(_insert_each(table, on, update), list(rows))


async def change(tx: Transaction, table: sa.Table, rows: Sequence[Mapping[str, Any]], *, on: str) -> int:
    """Change the row with this `on` for each of `rows`, which name the same columns; returns how many there were.

    A `version` is the new one: a row that is not at the one before it is not found.
    """
    if not rows:
        return 0
    columns = tuple(rows[0])
    if tx.dialect == "postgresql":
        return (await tx.execute(_update_from_arrays(table, columns, on), _arrays(table, rows))).rowcount
    return (await tx.execute(_update_each(table, columns, on), list(rows))).rowcount


def _arrays(table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    return {name: [_plain(table.c[name], row[name]) for row in rows] for name in rows[0]}


def _plain(column: sa.Column[Any], value: Any) -> Any:
    return json.dumps(value) if isinstance(column.type, sa.JSON) and value is not None else value


class _JsonList(sa.types.TypeDecorator[list[Any]]):
    """Values as SQLite stores them, in a JSON array."""

    impl = sa.Text
    cache_ok = True

    def __init__(self, item: sa.types.TypeEngine[Any]) -> None:
        super().__init__()
        self.item = item

    def process_bind_param(self, value: list[Any] | None, dialect: sa.Dialect) -> str:
        stored = self.item.dialect_impl(dialect).bind_processor(dialect)
        return json.dumps([stored(each) for each in value or ()] if stored else value)


@lru_cache(maxsize=64)
def _insert_each(table: sa.Table, on: tuple[str, ...] | None, update: tuple[str, ...]) -> Fixed:
    statement = sqlite.insert(table).inline()
    if on is not None and update:
        changes = {name: statement.excluded[name] for name in update}
        return Fixed(statement.on_conflict_do_update(index_elements=list(on), set_=changes))
    return Fixed(statement if on is None else statement.on_conflict_do_nothing(index_elements=list(on) or None))


@lru_cache(maxsize=64)
def _update_each(table: sa.Table, columns: tuple[str, ...], on: str) -> Fixed:
    changes = ", ".join(f"{_quoted(name)} = :{name}" for name in columns if name != on)
    guard = " AND version = :version - 1" if "version" in columns else ""
    statement = sa.text(
        f"UPDATE {_quoted(table.name)} SET {changes} WHERE {_quoted(on)} = :{on}{guard} RETURNING 1"  # noqa: S608
    )
    return Fixed(statement.bindparams(*(sa.bindparam(name, type_=table.c[name].type) for name in columns)))


@lru_cache(maxsize=64)
def _insert_from_arrays(
    table: sa.Table, columns: tuple[str, ...], on: tuple[str, ...] | None, update: tuple[str, ...]
) -> Fixed:
    conflict = ""
    if on is not None:
        target = f"({', '.join(map(_quoted, on))}) " if on else ""
        changes = ", ".join(f"{_quoted(name)} = excluded.{_quoted(name)}" for name in update)
        conflict = f" ON CONFLICT {target}DO " + (f"UPDATE SET {changes}" if update else "NOTHING")
    names = ", ".join(map(_quoted, columns))
    # The ordinality keeps serial ids in the order of the rows.
    return Fixed(
        sa.text(
            f"INSERT INTO {_quoted(table.name)} ({names}) SELECT {names} "  # noqa: S608
            f"FROM {_given(table, columns)} ORDER BY place_{conflict}"
        )
    )


@lru_cache(maxsize=64)
def _update_from_arrays(table: sa.Table, columns: tuple[str, ...], on: str) -> Fixed:
    own = _quoted(table.name)
    changes = ", ".join(f"{_quoted(name)} = given.{_quoted(name)}" for name in columns if name != on)
    guard = f" AND {own}.version = given.version - 1" if "version" in columns else ""
    return Fixed(
        sa.text(
            f"UPDATE {own} SET {changes} FROM {_given(table, columns)} "  # noqa: S608
            f"WHERE {own}.{_quoted(on)} = given.{_quoted(on)}{guard} RETURNING 1"
        )
    )


def _given(table: sa.Table, columns: Sequence[str]) -> str:
    arrays = ", ".join(f"CAST(:{name} AS {_array_type(table.c[name])})" for name in columns)
    return f"unnest({arrays}) WITH ORDINALITY AS given({', '.join(map(_quoted, columns))}, place_)"


def _quoted(name: str) -> str:
    return _POSTGRESQL.identifier_preparer.quote(name)


def _array_type(column: sa.Column[Any]) -> str:
    # A cast to VARCHAR(n) would cut silently; TEXT lets the column refuse what is too long.
    if isinstance(column.type, sa.String):
        return "TEXT[]"
    return f"{column.type.dialect_impl(_POSTGRESQL).compile(dialect=_POSTGRESQL)}[]"
