"""One run: customers arrive, days pass, and what is promised is checked at the end of each."""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from deploy.trails import verify_trail
from shared.kernel.judgement import Outcome
from shared.kit.audit_trail import first_break, sealed_rows
from tests.simulation.agenda import Agenda, Dice, SimulatedClock
from tests.simulation.company import Company
from tests.simulation.faults import repeatable
from tests.simulation.people.customers import Customer
from tests.simulation.people.partners import Partners
from tests.simulation.people.staff import Staff
from tests.simulation.promises import ALWAYS, AT_REST
from tests.simulation.terms import START
from tests.simulation.told import PromiseBroken, Told

DAY = timedelta(days=1)
REST_EVERY_DAYS = 14
PARTNERS = 2


@dataclass(frozen=True)
class Result:
    """`digest` is the same for the same seed, customers and years."""

    digest: str
    figures: Mapping[str, Any]
    deaths: Mapping[str, int]


class Simulation:
    """`report` is told once per year of the simulation."""

    def __init__(self, seed: int, customers: int, years: float, folder: Path, report: Callable[[str], None]) -> None:
        self.clock = SimulatedClock(START)
        self.agenda = Agenda(self.clock)
        self.company = Company(self.agenda, seed, folder)
        self.days = round(years * 365)
        self.report = report
        self._seed = seed
        self._number_of_customers = customers
        self._customers: dict[UUID, Customer] = {}
        self._staff = Staff(self.company, Dice(seed, "staff"))
        self._partners = Partners(self.company, Dice(seed, "partners"))
        self._began = time.monotonic()
        self._sealed: dict[tuple[str, UUID], int] = {}
        self._unrested: set[UUID] = set()

    async def run(self) -> Result:
        await self.company.open()
        try:
            self.company.hears = self._hear
            await self._staff.open()
            await self._partners.open(PARTNERS)
            self._plan_arrivals()
            for day in range(1, self.days + 1):
                await self._live_until(START + day * DAY)
                await self._end_day(day)
            await self._rest(everybody=True)
            await self._check_signatures()
            await self._check_decisions()
            return Result(self.company.histories.digest, self.company.figures(), self.company.deaths)
        finally:
            await self.company.close()

    def _plan_arrivals(self) -> None:
        """One after the other; nobody in the last tenth of the time."""
        dice = Dice(self._seed, "arrivals")
        for number in range(self._number_of_customers):
            share = 0.9 * dice.random.random()
            customer = Customer(self.company, Dice(self._seed, f"customer/{number}"), number)
            self._customers[customer.id] = customer
            self.agenda.at(START + share * self.days * DAY, customer.arrive)
            self._partners.meet(customer.id)

    def _hear(self, told: Told) -> None:
        self._staff.hear(told)
        if (customer := self._customers.get(told.customer_id)) is not None:
            customer.hear(told)

    async def _live_until(self, instant: datetime) -> None:
        self.company.plan_timers()
        while (step := self.agenda.next_before(instant)) is not None:
            self.company.steps += 1
            await step()
            self.company.plan_timers()
        self.clock.move_to(instant)

    async def _end_day(self, day: int) -> None:
        touched, self.company.touched = self.company.touched, set()
        self._unrested |= touched
        self._check(ALWAYS, touched)
        if day % REST_EVERY_DAYS == 0:
            await self._rest(everybody=day % (REST_EVERY_DAYS * 13) == 0)
        if day % 365 == 0:
            self.report(self._progress(day))

    async def _rest(self, *, everybody: bool) -> None:
        """Let everything under way arrive, then be strict."""
        await self.company.come_to_rest()
        touched = set(self._customers) if everybody else self._unrested | self.company.touched
        self._unrested.clear()
        self._check(ALWAYS | AT_REST, touched)
        self._check_calendar(touched)
        self._partners.check()
        await self._check_audit_trail()

    def _check(self, promises: Mapping[str, str], touched: set[UUID]) -> None:
        archive = self.company.archive
        archive.look_at(touched, self.clock)
        for promise, query in promises.items():
            for customer_id, detail in archive.rows(query):
                raise PromiseBroken(UUID(customer_id) if customer_id else None, f"{promise}: {detail}")

    def _check_calendar(self, touched: set[UUID]) -> None:
        """A period ends at the anchor's wall-clock time, on its day or the month's last, except where clocks jump."""
        rows = self.company.archive.rows(
            "SELECT c.customer_id, p.ends_at, p.zone, f.starts_at, p.contract_id FROM contracts.contracts c"
            " JOIN contracts.periods p ON p.contract_id = c.id"
            " JOIN contracts.periods f ON f.contract_id = c.id AND f.period_index = 1"
            " WHERE c.customer_id IN touched"
        )
        for customer_id, ends_at, zone, anchor, contract_id in rows:
            end, first = _local(ends_at, zone), _local(anchor, zone)
            follows_day = end.day == first.day or (end.day < first.day and (end + DAY).day == 1)
            skipped = abs(end.utcoffset() - (end - DAY).utcoffset()) if end.utcoffset() else timedelta()  # type: ignore[operator]
            if not (follows_day and (end.time() == first.time() or skipped)):
                raise PromiseBroken(UUID(customer_id), f"{contract_id} ends at {end}, anchored at {first}")

    async def _check_audit_trail(self) -> None:
        """Every chain holds from its beginning to its end, as far as it has grown since it was last read."""
        for name, place in self.company.places.items():
            heads = self.company.archive.rows(f"SELECT chain, seq, hash FROM {name}.audit_heads")
            for chain_hex, seq, digest in heads:
                chain = UUID(chain_hex)
                if self._sealed.get((name, chain)) == seq:
                    continue
                self._sealed[name, chain] = seq
                async with place.runtime.database.reading() as reader:
                    rows = await sealed_rows(reader, chain, limit=seq)
                if len(rows) != seq or rows[-1].hash != digest or first_break(chain, rows) is not None:
                    raise PromiseBroken(chain, f"the audit chain of {name} breaks at {first_break(chain, rows)}")

    async def _check_signatures(self) -> None:
        """Every chain agrees with the signed heads that are kept outside the database."""
        for place in self.company.places.values():
            for broken in (await verify_trail(place.runtime))[2]:
                raise PromiseBroken(broken.chain, f"the audit trail of {place.name}: {broken}")

    async def _check_decisions(self) -> None:
        """Every decision follows from the facts kept beside it, by the agreement version that it cites."""
        for place in self.company.places.values():
            async for decision in place.runtime.rules.replay_all(place.runtime.database):
                if decision.replayed.outcome is not Outcome.SAME:
                    raise PromiseBroken(None, f"a decision of {place.name} does not come out the same: {decision}")

    def _progress(self, day: int) -> str:
        figures = self.company.figures()
        return (
            f"year {day // 365}: {figures['steps']} steps, {figures['events']} events, {figures['deaths']} deaths,"
            f" {time.monotonic() - self._began:.0f} s"
        )


def _local(stored: int, zone: str) -> datetime:
    epoch = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
    return (epoch + timedelta(microseconds=stored)).astimezone(ZoneInfo(zone))


@contextmanager
def _fewer_collections() -> Iterator[None]:
    """A fifth of the time would go to looking for cycles that are not there."""
    before = gc.get_threshold()
    gc.set_threshold(50_000, 20, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)


async def simulate(seed: int, customers: int, years: float, report: Callable[[str], None] = print) -> Result:
    """Run it; a broken promise is reported with the seed and the last steps of the customer it is broken to."""
    with tempfile.TemporaryDirectory(prefix="simulation-") as folder:
        simulation = Simulation(seed, customers, years, Path(folder), report)
        with _fewer_collections(), repeatable(seed, simulation.clock):
            try:
                return await simulation.run()
            except Exception as error:
                customer_id = error.customer_id if isinstance(error, PromiseBroken) else None
                steps = simulation.company.histories.of(customer_id)
                report(f"seed {seed}, {customers} customers, {years} years: {error!r}")
                report(f"at {simulation.clock.now().isoformat()}, customer {customer_id}; its last steps:")
                report("\n".join(steps))
                raise
