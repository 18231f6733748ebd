"""Gapless numbers: the counter row stays locked until the transaction that took a number commits."""

from __future__ import annotations

import sqlalchemy as sa

from services.billing.db.tables import number_series
from services.billing.domain.invoice import Number
from shared.kit.db import Transaction


async def next_in(tx: Transaction, series: str, year: int) -> Number:
    """The next number of that series and year; a rollback or crash gives it back, for the row rolls back too."""
    await tx.insert_once(number_series, {"series": series, "year": year, "last": 0}, on=["series", "year"])
    columns = number_series.c
    sequence = await tx.scalar(
        sa.update(number_series)
        .where(columns.series == series, columns.year == year)
        .values(last=columns.last + 1)
        .returning(columns.last)
    )
    return Number(series=series, year=year, sequence=sequence)


async def go_on_after(tx: Transaction, number: Number) -> None:
    """That number is taken, whatever this database knows of it."""
    await tx.insert_once(
        number_series, {"series": number.series, "year": number.year, "last": 0}, on=["series", "year"]
    )
    columns = number_series.c
    await tx.execute(
        sa.update(number_series)
        .where(columns.series == number.series, columns.year == number.year, columns.last < number.sequence)
        .values(last=number.sequence)
    )
