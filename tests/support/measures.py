"""What a service measures of its database, and that an index answers every statement of it."""

from __future__ import annotations

from typing import Any

from shared.kit.db import Outcome, Reader
from shared.kit.measuring import Measure
from shared.kit.on_postgresql import PostgresqlLine
from shared.kit.statements import POSTGRESQL
from tests.support.service import ServiceUnderTest


async def measured(service: ServiceUnderTest, measure: Measure) -> dict[str, float]:
    """Values by the gauge's name, with the labels behind it: `mainstay_…{pending}`."""
    database = service.runtime.database
    async with database.reading() as reader:
        explaining = _Explaining(database, reader.now, reader._line)
        readings = await measure(explaining)
    walks = [plan for plan in explaining.plans if "Seq Scan" in plan]
    assert not walks, f"no index answers: {walks}"
    return {each.gauge._name + (f"{{{','.join(each.labels)}}}" if each.labels else ""): each.value for each in readings}


class _Explaining(Reader):
    """Keeps the plan of each statement as it would be if a walk through the whole table cost too much."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.plans: list[str] = []

    async def execute(self, statement: Any, parameters: Any = None) -> Outcome:
        if isinstance(self._line, PostgresqlLine):
            plan, given = POSTGRESQL.plan(statement, parameters)
            connection = self._line.connection
            async with connection.transaction():
                await connection.execute("SET LOCAL enable_seqscan = off")
                rows = await connection.fetch(f"EXPLAIN {plan.sql}", *given)
            self.plans.append("\n".join([plan.sql, *(row[0] for row in rows)]))
        return await super().execute(statement, parameters)
