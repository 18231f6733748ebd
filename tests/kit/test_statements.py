"""Statements that are compiled once: what they bind and read each time, on both databases."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from shared.kernel.ids import new_id
from shared.kit.db import Database, Fixed
from tests.kit.support import parcels

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


async def put(database: Database, *labels: str, **others: Any) -> None:
    async with database.transaction() as tx:
        await tx.insert(parcels, [{"id": new_id(), "label": label, **others} for label in labels])


async def test_a_statement_of_a_known_shape_binds_its_own_values(database: Database) -> None:
    await put(database, "a book", "a lamp")
    async with database.reading() as reader:
        for label in ("a book", "a lamp", "a book"):
            assert await reader.scalar(sa.select(parcels.c.label).where(parcels.c.label == label)) == label
        for limit in (1, 2):
            assert len(await reader.rows(sa.select(parcels).limit(limit))) == limit


async def test_a_fixed_statement_takes_its_values_by_name(database: Database) -> None:
    await put(database, "a book", "a lamp")
    named = Fixed(sa.select(parcels.c.label).where(parcels.c.label == sa.bindparam("wanted")))
    async with database.reading() as reader:
        assert [await reader.scalar(named, {"wanted": label}) for label in ("a lamp", "a book", "none")] == [
            "a lamp",
            "a book",
            None,
        ]
        with pytest.raises(KeyError, match="wanted"):
            await reader.scalar(named)


async def test_a_list_may_have_any_length_at_each_call(database: Database) -> None:
    await put(database, "a", "b", "c")
    async with database.reading() as reader:
        for wanted in (["a"], ["a", "c"], [], ["a", "b", "c", "d"]):
            rows = await reader.rows(sa.select(parcels.c.label).where(parcels.c.label.in_(wanted)))
            assert sorted(row.label for row in rows) == [label for label in wanted if label != "d"]
        with pytest.raises(ValueError, match="varying length"):
            await reader.rows(Fixed(sa.select(parcels.c.label).where(parcels.c.label.in_(["a"]))))


async def test_every_kind_of_column_comes_back_as_it_went_in(database: Database) -> None:
    content = {"titles": ["Ünïcode", None, 1.5], "deep": {"a": []}}
    await put(database, "a book", weight=7, content=content, arrived_at=NOON)
    await put(database, "nothing known", content=None, arrived_at=None)
    async with database.reading() as reader:
        full, empty = await reader.rows(sa.select(parcels).order_by(parcels.c.label))
    assert isinstance(full.id, UUID)
    assert (full.label, full.weight, full.content, full.arrived_at) == ("a book", 7, content, NOON)
    assert (empty.content, empty.arrived_at) == (None, None)
    assert full._mapping["label"] == full[parcels.c.keys().index("label")] == "a book"


async def test_plain_sql_has_the_columns_that_the_database_names(database: Database) -> None:
    await put(database, "a book", weight=7, content={"pages": 3})
    async with database.reading() as reader:
        row = await reader.row(
            sa.text("SELECT label, weight AS grams, content FROM parcels WHERE weight = :w"), {"w": 7}
        )
    assert row is not None
    assert (row.label, row.grams) == ("a book", 7)
    # PostgreSQL knows that it is JSON; to SQLite it is text.
    assert (row.content if database.dialect == "postgresql" else json.loads(row.content)) == {"pages": 3}


async def test_a_change_says_how_many_rows_it_changed(database: Database) -> None:
    await put(database, "a", "b", "c", weight=1)
    async with database.transaction() as tx:
        assert (await tx.execute(sa.update(parcels).where(parcels.c.label != "c").values(weight=2))).rowcount == 2
        returned = await tx.execute(sa.delete(parcels).where(parcels.c.weight == 2).returning(parcels.c.label))
        assert (returned.rowcount, sorted(row.label for row in returned.rows)) == (2, ["a", "b"])
        assert (await tx.execute(sa.delete(parcels).where(parcels.c.label == "none"))).rowcount == 0


async def test_one_statement_for_many_rows_changes_each(database: Database) -> None:
    await put(database, "a", "b", weight=1)
    change = sa.update(parcels).where(parcels.c.label == sa.bindparam("which")).values(weight=sa.bindparam("grams"))
    async with database.transaction() as tx:
        await tx.execute(change, [{"which": "a", "grams": 5}, {"which": "b", "grams": 6}])
        rows = await tx.rows(sa.select(parcels.c.label, parcels.c.weight).order_by(parcels.c.label))
    assert [tuple(row) for row in rows] == [("a", 5), ("b", 6)]


async def test_one_statement_for_many_rows_gives_back_what_each_returns(database: Database) -> None:
    insert = sa.insert(parcels).returning(parcels.c.label, parcels.c.weight)
    async with database.transaction() as tx:
        given = [{"id": new_id(), "label": label, "weight": grams} for label, grams in (("a", 5), ("b", 6))]
        outcome = await tx.execute(insert, given)
    assert [tuple(row) for row in outcome.rows] == [("a", 5), ("b", 6)]
