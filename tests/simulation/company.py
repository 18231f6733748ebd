"""The four services at work: their real runtimes, relays, consumers and timers, one step at a time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Generic, TypeVar
from uuid import UUID

from services.backup import consumers as backup_consumers
from services.backup import opening as backup
from services.backup import schedule as backup_schedule
from services.backup.gateways import FileStore
from services.backup.gateways import Gateways as BackupGateways
from services.billing import consumers as billing_consumers
from services.billing import opening as billing
from services.billing import schedule as billing_schedule
from services.billing.db.evidence_files import EvidenceFiles
from services.contracts import consumers as contracts_consumers
from services.contracts import opening as contracts
from services.contracts import schedule as contracts_schedule
from services.notify import consumers as notify_consumers
from services.notify import opening as notify
from services.notify import schedule as notify_schedule
from services.notify.gateways import Gateways as NotifyGateways
from shared.events.envelope import Envelope
from shared.kernel.errors import Refusal
from shared.kit import migrations
from shared.kit.audit_trail import Sealer
from shared.kit.bus import outbox, positions, replaying
from shared.kit.bus.consumer import Consumer, Fenced
from shared.kit.bus.handlers import Handlers
from shared.kit.bus.log import Delivered, Partition
from shared.kit.bus.outbox import SHARDS
from shared.kit.bus.positions import Stream
from shared.kit.bus.relay import Relay
from shared.kit.bus.replaying import NothingToReplay
from shared.kit.db import Transaction
from shared.kit.runtime import Runtime
from shared.kit.schedule import Timers
from shared.kit.settings import CommonSettings
from shared.kit.timer_runner import TimerRunner
from tests.simulation.agenda import Agenda, Dice, instant_of
from tests.simulation.faults import Died, Saboteur
from tests.simulation.network import SimulatedLog, bounds_reader
from tests.simulation.third_parties import TroubledMailServer, TroubledRestic
from tests.simulation.told import COMPANY, Archive, Histories, PromiseBroken, Told

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
LEISURE = {"notify": 36 * HOUR, "backup": 6 * HOUR, "billing": HOUR}
T = TypeVar("T")


@dataclass(frozen=True)
class Answer(Generic[T]):
    """What came of a command: its result, or the refusal."""

    result: T | None
    refusal: Refusal | None = None


@dataclass
class Place:
    """One service at work. What its process keeps in memory is lost when it dies."""

    runtime: Runtime
    handlers: Handlers
    timers: Timers
    saboteur: Saboteur
    relay: Relay
    consumer: Consumer
    runner: TimerRunner
    sealer: Sealer
    offsets: dict[Partition, int] = field(default_factory=dict)
    relay_planned: bool = False
    delivery_planned: bool = False
    cut_off: dict[Partition, datetime] = field(default_factory=dict)
    timers_planned_for: datetime | None = None
    timers_changed: bool = True

    @property
    def name(self) -> str:
        return self.runtime.name

    def start(self) -> None:
        """Begin anew, as after a death."""
        assert self.runtime.log is not None
        database = self.runtime.database
        self.relay = Relay(database, self.runtime.log, name=self.name)
        self.consumer = Consumer(self.name, database, self.runtime.log, self.handlers)
        self.runner = TimerRunner(self.runtime, self.timers)
        self.sealer = Sealer(database, self.name, self.runtime.data_dir)
        self.offsets.clear()


class Company:
    """Steps are planned on the agenda by what is committed; `hears` learns of every fact."""

    def __init__(self, agenda: Agenda, seed: int, folder: Path) -> None:
        self.agenda = agenda
        self.clock = agenda.clock
        self.network = Dice(seed, "network")
        self.fate = Dice(seed, "fate")
        self.log = SimulatedLog(self.clock, Dice(seed, "log"))
        self.log.on_append = self._plan_deliveries
        self.mail = TroubledMailServer(Dice(seed, "mail"))
        self.files = FileStore(folder)
        self.restic = TroubledRestic(clock=self.clock, dice=Dice(seed, "restic"))
        self.elsewhere = TroubledRestic(clock=self.clock, dice=Dice(seed, "elsewhere"))
        self.evidence = EvidenceFiles(folder / "evidence")
        self.folder = folder
        self.histories = Histories(self.clock)
        self.touched: set[UUID] = set()
        self.to_hear_again: set[UUID] = set()
        self.places: dict[str, Place] = {}
        self.faults = True
        self.steps = 0
        self.hears: Callable[[Told], None] = lambda _told: None
        self.applied_by_notify: Callable[[Collection[Delivered]], None] = lambda _records: None
        self.archive: Archive
        self._stack = AsyncExitStack()
        self._in_hand: Collection[Delivered] = ()

    async def open(self) -> None:
        common = CommonSettings(data_dir=self.folder, clock="system", event_log="sql")
        backup_gateways = BackupGateways(self.files, self.restic, remote=self.elsewhere)
        opened: list[tuple[Runtime, Handlers, Timers]] = [
            (contracts.open_runtime(common, log=self.log), contracts_consumers.handlers, contracts_schedule.timers),
            (billing.open_runtime(common, log=self.log), billing_consumers.handlers, billing_schedule.timers),
            (
                backup.open_runtime(common, log=self.log, gateways=backup_gateways),
                backup_consumers.handlers,
                backup_schedule.timers,
            ),
            (notify.open_runtime(common, log=self.log), notify_consumers.handlers, notify_schedule.timers),
        ]
        opened[-1][0].gateways = NotifyGateways(self.mail)
        for runtime, handlers, timers in opened:
            self._stack.push_async_callback(runtime.close)
            await migrations.upgrade(runtime.database, runtime.migrations)
            self.places[runtime.name] = self._place(runtime, handlers, timers)
        self.restic.step = self.elsewhere.step = self.places["backup"].saboteur.step
        self.mail.step = self.places["notify"].saboteur.step
        self.archive = Archive({name: self.folder / f"{name}.db" for name in self.places})
        self._stack.callback(self.archive.close)

    async def close(self) -> None:
        await self._stack.aclose()

    def _place(self, runtime: Runtime, handlers: Handlers, timers: Timers) -> Place:
        assert runtime.log is not None
        database, saboteur = runtime.database, Saboteur()
        place = Place(
            runtime=runtime,
            handlers=handlers,
            timers=timers,
            saboteur=saboteur,
            relay=Relay(database, runtime.log, name=runtime.name),
            consumer=Consumer(runtime.name, database, runtime.log, handlers),
            runner=TimerRunner(runtime, timers),
            sealer=Sealer(database, runtime.name, self.folder),
        )
        database.commit_hooks += [self._witness(place), saboteur.hook]
        return place

    # What is committed

    def _witness(self, place: Place) -> Callable[[Transaction], Awaitable[None]]:
        async def hook(tx: Transaction) -> None:
            envelopes = outbox.envelopes_of(tx)
            customers = {entry.chain for entry in tx.audit_entries}
            in_hand, self._in_hand = self._in_hand, ()
            announces = bool(tx.facts)
            tx.after_commit(lambda: self._committed(place, envelopes, customers, in_hand, announces=announces))

        return hook

    def _committed(
        self,
        place: Place,
        envelopes: list[Envelope],
        customers: set[UUID],
        in_hand: Collection[Delivered],
        *,
        announces: bool,
    ) -> None:
        place.timers_changed = True
        self.touched |= customers - {COMPANY}
        if in_hand and place.name == "notify":
            self.applied_by_notify(in_hand)
        for envelope in envelopes:
            told = Told(envelope)
            self.touched.add(told.customer_id)
            self.archive.keep(told)
            self.histories.counts[told.kind] += 1
            self.histories.note({told.customer_id}, f"{place.name} tells {told}")
            self.hears(told)
        if announces and not place.relay_planned:
            self._plan_relay(place)

    # Commands

    async def command(
        self,
        service: str,
        customer_id: UUID,
        what: str,
        story: Callable[[Transaction], Awaitable[T]],
        *,
        by: str,
        may: tuple[type[Refusal], ...] = (),
        must: tuple[type[Refusal], ...] = (),
    ) -> Answer[T]:
        """Run a use case. The caller of a process that dies asks again, or gets the kept answer.

        `may` are refusals that can be met here, of `must` one has to be.
        """
        place = self.places[service]
        if self.faults:
            place.saboteur.arm(self.fate, 0.01, steps=2)
        done: list[T] = []
        committed: list[bool] = []
        try:
            async with place.runtime.database.transaction() as tx:
                tx.actor = by
                tx.after_commit(lambda: committed.append(True))
                done.append(await story(tx))
        except Died:
            self.histories.note({customer_id}, f"{service} died in: {what} ({by}), committed={bool(committed)}")
            place.start()
            if not committed:
                return await self.command(service, customer_id, what, story, by=by, may=may, must=must)
        except Refusal as refusal:
            self.histories.counts["refused"] += 1
            self.histories.note({customer_id}, f"{by}: {what}: refused {refusal.code()}")
            if isinstance(refusal, must or may):
                return Answer(None, refusal)
            raise PromiseBroken(customer_id, f"{what} was refused: {refusal.code()}: {refusal}") from refusal
        finally:
            place.saboteur.disarm()
        self.histories.note({customer_id}, f"{by}: {what}")
        if must:
            raise PromiseBroken(customer_id, f"{what} was not refused")
        return Answer(done[0])

    # The outbox's way into the log

    def _plan_relay(self, place: Place) -> None:
        place.relay_planned = True
        self.agenda.after(self._lateness(HOUR), lambda: self._relay(place))

    def _lateness(self, longest: timedelta) -> timedelta:
        """Mostly seconds, sometimes minutes, seldom up to `longest`."""
        kind = self.network.one_of({"seconds": 80, "minutes": 17, "outage": 3})
        if kind == "outage":
            return self.network.between(timedelta(), longest)
        return self.network.soon(3 * SECOND if kind == "seconds" else 5 * MINUTE) + timedelta(milliseconds=5)

    async def _relay(self, place: Place) -> None:
        place.relay_planned = False
        if self.faults:
            place.saboteur.arm(self.fate, 0.03, steps=6)
            self.log.step, self.log.trouble = place.saboteur.step, 0.02
        try:
            published = await place.relay.publish_once(range(SHARDS))
        except Died:
            self.histories.note({COMPANY}, f"{place.name}: the relay died")
            place.start()
            published = 1
        finally:
            place.saboteur.disarm()
            self.log.step, self.log.trouble = (lambda _where: None), 0.0
        waiting = self.archive.value(f"SELECT count(*) FROM {place.name}.outbox")
        if waiting and not place.relay_planned:
            self._plan_relay(place)
        if published:
            self.histories.note({COMPANY}, f"{place.name}: {published} published, {waiting} waiting")

    # The log's way to the handlers

    def _plan_deliveries(self, partition: Partition) -> None:
        for place in self.places.values():
            if partition.topic in place.handlers.topics:
                if self.network.falls(0.02):
                    place.cut_off[partition] = self.clock.now() + self.network.between(SECOND, 30 * HOUR)
                self._plan_delivery(place)

    def _plan_delivery(self, place: Place, *, after: timedelta = timedelta()) -> None:
        """Who is at leisure has larger batches of stranger neighbours."""
        if not place.delivery_planned:
            place.delivery_planned = True
            at_leisure = self.network.soon(LEISURE.get(place.name, timedelta()))
            self.agenda.after(after + at_leisure + self._lateness(3 * HOUR), lambda: self._deliver_some(place))

    async def _deliver_some(self, place: Place) -> None:
        """Some of the partitions that have something new; the others stay behind."""
        place.delivery_planned = False
        waiting = [each for each in self.log.partitions_of(place.handlers.topics) if await self._waits(place, each)]
        connected = [each for each in waiting if place.cut_off.get(each, self.clock.now()) <= self.clock.now()]
        if connected:
            number = self.network.random.randint(1, len(connected))
            await self._deliver(place, self.network.random.sample(connected, number))
            self._plan_delivery(place)
        elif waiting:
            self._plan_delivery(place, after=min(place.cut_off[each] for each in waiting) - self.clock.now())

    async def _waits(self, place: Place, partition: Partition) -> bool:
        return await self._offset(place, partition) < self.log.bounds_of(partition).end

    async def _deliver(self, place: Place, partitions: Collection[Partition]) -> None:
        """Hand a batch to the consumer, seldom one that another replica has applied meanwhile."""
        if self.faults and self.fate.falls(0.003):
            await self._rewind(place, partitions)
        if self.faults and self.fate.falls(0.01):
            await self._replay(place, self.fate.random.choice(sorted(partitions)))
        batches = {}
        for partition in partitions:
            offset = await self._offset(place, partition)
            if self.faults and self.fate.falls(0.01):
                offset -= self.fate.random.randint(1, 5)
            batch = self.log.read(partition, offset, self.network.random.randint(1, 30))
            if batch is not None:
                batches[partition] = batch
        if self.faults:
            place.saboteur.arm(self.fate, 0.03, steps=2)
        records = [record for batch in batches.values() for record in batch.records]
        try:
            self._in_hand = records
            await place.consumer._apply(batches)
            place.offsets.update({partition: batch.next for partition, batch in batches.items()})
            outcome = "heard"
        except Fenced:
            place.offsets.clear()
            outcome = "was fenced off"
        except Died:
            place.start()
            outcome = "died over"
        finally:
            place.saboteur.disarm()
            self._in_hand = ()
        for record in records:
            told = Told(Envelope.from_binary(record.headers, record.value))
            seq = told.envelope.aggseq
            self.histories.note({told.customer_id}, f"{place.name} {outcome} {told} seq={seq} offset={record.offset}")

    async def _rewind(self, place: Place, partitions: Collection[Partition]) -> None:
        """Somebody has the consumer read all that is kept once more."""
        async with place.runtime.database.transaction() as tx:
            for partition in partitions:
                await positions.restart_from(tx, place.name, partition, self.log.bounds_of(partition).oldest)
        place.offsets.clear()
        self.histories.counts["rewound"] += 1
        self.histories.note({COMPANY}, f"{place.name} reads {len(partitions)} partitions again")

    async def _replay(self, place: Place, partition: Partition) -> None:
        """Somebody has the consumer apply the last events of a key once more."""
        record = self.fate.random.choice(self.log.kept(partition))
        told, stream = Told(Envelope.from_binary(record.headers, record.value)), Stream(record.topic, record.key)
        async with place.runtime.database.transaction() as tx:
            try:
                await replaying.replay_key(tx, place.name, stream, from_seq=told.envelope.aggseq)
            except NothingToReplay:
                return
        if place.name == "notify":
            self.to_hear_again |= {
                each.id
                for each in (Envelope.from_binary(one.headers, one.value) for one in self.log.kept(partition))
                if each.subject == told.envelope.subject and each.aggseq >= told.envelope.aggseq
            }
        place.offsets.clear()
        self.histories.counts["replayed"] += 1
        self.histories.note({told.customer_id}, f"{place.name} hears {told} and what follows again")

    async def _offset(self, place: Place, partition: Partition) -> int:
        if partition not in place.offsets:
            bounds = bounds_reader({partition: self.log.bounds_of(partition)})
            place.offsets.update(await place.consumer._load_offsets({partition}, bounds))
        return place.offsets[partition]

    # Timers

    def plan_timers(self) -> None:
        """After every step: whoever set a timer gets a worker for it."""
        for place in self.places.values():
            if place.timers_changed:
                place.timers_changed = False
                due_at = self._next_due(place)
                if due_at is not None:
                    self._plan_timer(place, max(due_at, self.clock.now()))

    def _plan_timer(self, place: Place, due_at: datetime) -> None:
        planned_for = place.timers_planned_for
        if planned_for is None or due_at < planned_for:
            place.timers_planned_for = due_at
            self.agenda.at(due_at + self._lateness(3 * HOUR), lambda: self._run_planned_timers(place, due_at))

    async def _run_planned_timers(self, place: Place, planned_for: datetime) -> None:
        if place.timers_planned_for != planned_for:
            return
        place.timers_planned_for = None
        await self._run_timers(place)
        place.timers_changed = True

    def _next_due(self, place: Place) -> datetime | None:
        found: int | None = None
        query = f"SELECT due_at, leased_until FROM {place.name}.timers WHERE parked_at IS NULL ORDER BY due_at"
        for due_at, leased_until in self.archive.walk(query):
            if found is not None and due_at >= found:
                break
            free_at = max(due_at, leased_until or 0)
            found = free_at if found is None else min(found, free_at)
        return None if found is None else instant_of(found + 1)

    async def _run_timers(self, place: Place) -> bool:
        if self.faults:
            place.saboteur.arm(self.fate, 0.04, steps=12)
        try:
            busy = await place.runner.run_due()
            await self._finish_jobs(place.runner)
        except Died:
            self.histories.note({COMPANY}, f"{place.name}: the scheduler died")
            place.start()
            return True
        finally:
            place.saboteur.disarm()
        return busy

    async def _finish_jobs(self, runner: TimerRunner) -> None:
        jobs = list(runner._jobs.values())
        if jobs:
            await asyncio.wait(jobs)
            await asyncio.sleep(0)  # the runner's own callbacks
        for job in jobs:
            job.result()

    # Rest

    async def come_to_rest(self) -> None:
        """Without further faults, deliver what is under way and do what is due."""
        for place in self.places.values():
            await self._seal(place)
        self.faults = self.mail.troubled = self.restic.troubled = self.elsewhere.troubled = False
        # The leases of the dead run out.
        self.clock.move_to(self.clock.now() + MINUTE)
        for _round in range(200):
            if not await self._work_off():
                break
        else:
            raise PromiseBroken(None, "the company does not come to rest")
        for place in self.places.values():
            while await self._seal(place):
                pass
            self.log.forget(place.handlers.topics)
        self.faults = self.mail.troubled = self.restic.troubled = self.elsewhere.troubled = True

    async def _seal(self, place: Place) -> bool:
        """Seal what is on the audit trail and sign it; True when there may be more."""
        if self.faults:
            place.saboteur.arm(self.fate, 0.2, steps=2)
        try:
            return bool(await place.sealer.seal())
        except Died:
            self.histories.note({COMPANY}, f"{place.name}: the sealer died")
            place.start()
            return True
        finally:
            place.saboteur.disarm()

    async def _work_off(self) -> bool:
        busy = False
        for place in self.places.values():
            place.relay._failures.clear()
            while await place.relay.publish_once(range(SHARDS)):
                busy = True
            place.cut_off.clear()
            while waiting := [
                each for each in self.log.partitions_of(place.handlers.topics) if await self._waits(place, each)
            ]:
                await self._deliver(place, waiting)
                busy = True
            while await self._run_timers(place):
                busy = True
        return busy

    @property
    def deaths(self) -> Counter[str]:
        """Of whatever process, by the step at which it died."""
        return sum((place.saboteur.deaths for place in self.places.values()), Counter())

    def figures(self) -> Mapping[str, Any]:
        return {
            "steps": self.steps,
            "events": self.log.appended,
            "deaths": sum(self.deaths.values()),
            **self.histories.counts,
        }
