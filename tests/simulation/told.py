"""What has been announced and done: facts as rows beside the services' databases, and each customer's last steps."""

from __future__ import annotations

import hashlib
import sqlite3
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from shared.events.envelope import Envelope
from tests.simulation.agenda import SimulatedClock, micros

LAST_STEPS = 50
COMPANY = UUID(int=0)


class PromiseBroken(AssertionError):
    """Something that must always hold does not."""

    def __init__(self, customer_id: UUID | None, what: str) -> None:
        super().__init__(what)
        self.customer_id = customer_id


class Histories:
    """The last steps of every customer, and a digest of all steps that shows whether two runs were the same."""

    def __init__(self, clock: SimulatedClock) -> None:
        self._clock = clock
        self._steps: dict[UUID, deque[str]] = defaultdict(lambda: deque(maxlen=LAST_STEPS))
        self._digest = hashlib.sha256()
        self.counts: Counter[str] = Counter()

    def note(self, customers: Collection[UUID], step: str) -> None:
        line = f"{self._clock.now().isoformat()}  {step}"
        self._digest.update(line.encode())
        for customer_id in sorted(customers):
            self._steps[customer_id].append(line)

    def of(self, customer_id: UUID | None) -> Sequence[str]:
        return list(self._steps[customer_id or COMPANY])

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()[:16]


@dataclass(frozen=True)
class Told:
    """One fact, committed."""

    envelope: Envelope

    @property
    def kind(self) -> str:
        """`invoice-issued`"""
        return self.envelope.type.split(".")[2]

    @property
    def data(self) -> dict[str, Any]:
        return self.envelope.data

    @property
    def customer_id(self) -> UUID:
        return UUID(self.data["customer_id"])

    def id_of(self, name: str) -> UUID:
        return UUID(self.data[name])

    def __str__(self) -> str:
        data = self.data
        shown = [str(data[name])[:8] for name in ("contract_id", "invoice_id", "payment_id") if name in data]
        shown += [f"{name}={data[name]}" for name in ("period_index", "verdict", "reason") if name in data]
        return " ".join([self.kind, *shown])


class Archive:
    """All four databases as one, read only, with the facts in `told` and who was touched today in `touched`."""

    def __init__(self, databases: Mapping[str, Path]) -> None:
        self._connection = sqlite3.connect(":memory:", uri=True, isolation_level=None)
        for name, path in databases.items():
            self._connection.execute(f"ATTACH 'file:{path}?mode=ro' AS {name}")
        self._connection.executescript(
            "CREATE TABLE told (id, kind, customer_id, subject_id, contract_id, period_index, at);"
            "CREATE INDEX told_customer ON told (customer_id, kind);"
            "CREATE TABLE touched (customer_id PRIMARY KEY);"
            "CREATE TABLE present (now);"
        )

    def keep(self, told: Told) -> None:
        data, contract_id = told.data, told.data.get("contract_id")
        self._connection.execute(
            "INSERT INTO told VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                told.envelope.id.hex,
                told.kind,
                told.customer_id.hex,
                UUID(told.envelope.subject).hex,
                UUID(contract_id).hex if contract_id else None,
                data.get("period_index"),
                micros(told.envelope.time),
            ),
        )

    def look_at(self, customers: Collection[UUID], clock: SimulatedClock) -> None:
        """What the queries call `touched` and `present`."""
        self._connection.execute("DELETE FROM touched")
        self._connection.executemany("INSERT INTO touched VALUES (?)", [(each.hex,) for each in sorted(customers)])
        self._connection.execute("DELETE FROM present")
        self._connection.execute("INSERT INTO present VALUES (?)", (micros(clock.now()),))

    def rows(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        return self._connection.execute(query, parameters).fetchall()

    def walk(self, query: str) -> Iterator[tuple[Any, ...]]:
        """Row by row, for who may have enough of it."""
        return iter(self._connection.execute(query))

    def value(self, query: str, *parameters: Any) -> Any:
        return self._connection.execute(query, parameters).fetchone()[0]

    def close(self) -> None:
        self._connection.close()


Hears = Callable[[Told], None]
