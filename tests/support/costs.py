"""What a request costs whatever the clock says: statements, transactions, bytes stored and bytes answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import httpx
import sqlalchemy as sa

from shared.kit import migrations
from shared.kit.db import Database
from tests.support.service import ServiceUnderTest

Work = Callable[[], Awaitable[httpx.Response | object]]
SPARE = 1.02
"""Instants without microseconds, and numbers with a digit more, are no regression."""


@dataclass(frozen=True)
class Cost:
    statements: int
    transactions: int
    stored: int
    answered: int = 0

    def fits(self, bound: Cost) -> bool:
        """Not one statement or transaction more, and no more bytes than the bound with a little to spare."""
        return (
            self.statements <= bound.statements
            and self.transactions <= bound.transactions
            and self.stored <= bound.stored * SPARE
            and self.answered <= bound.answered * SPARE
        )


async def insist_on_cost(
    service: ServiceUnderTest, tables: sa.MetaData, work: Work, bounds: Mapping[str, Cost]
) -> None:
    """`bounds` by dialect."""
    cost, bound = await cost_of(service, tables, work), bounds[service.runtime.database.dialect]
    assert cost.fits(bound), f"{cost}, and it was {bound}"


async def cost_of(service: ServiceUnderTest, tables: sa.MetaData, work: Work) -> Cost:
    """What `work` costs the service's database, on the system clock as in production."""
    database = service.runtime.database
    stored = await _bytes_in(database, tables)
    virtual, database.now_in = database.now_in, None
    statements, transactions = database.statements, database.transactions
    try:
        answer = await work()
    finally:
        database.now_in = virtual
    statements, transactions = database.statements - statements, database.transactions - transactions
    answered = 0
    if isinstance(answer, httpx.Response):
        assert answer.is_success, answer.text
        answered = len(answer.content)
    return Cost(statements, transactions, await _bytes_in(database, tables) - stored, answered)


async def _bytes_in(database: Database, tables: sa.MetaData) -> int:
    total = 0
    async with database.reading() as reader:
        for table in migrations.merged(tables).sorted_tables:
            rows = await reader.rows(sa.select(table))
            total += sum(len(str(value)) for row in rows for value in row if value is not None)
    return total
