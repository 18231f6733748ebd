"""One batch of events in its transaction: each is applied, dropped as had already, or parked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from shared.events.envelope import Envelope, UnreadableEvent
from shared.kit.bus import parking, positions
from shared.kit.bus.handlers import AnyHandler, Handlers, is_known, run_handlers
from shared.kit.bus.log import Delivered, Partition
from shared.kit.bus.parking import Gap, Head, RetryPlan
from shared.kit.bus.positions import Position, StoredOffset, Stream, Verdict, position_in
from shared.kit.db import Transaction


@dataclass(frozen=True, slots=True)
class Arrival:
    """A record as far as it can be read; `position` is None when it names no seq."""

    record: Delivered
    stream: Stream
    position: Position | None
    envelope: Envelope | None
    error: UnreadableEvent | None


def read_arrival(record: Delivered) -> Arrival:
    stream = Stream(record.topic, record.key)
    position = position_in(record)
    try:
        envelope = Envelope.from_binary(record.headers, record.value)
    except UnreadableEvent as error:
        return Arrival(record, stream, position, None, error)
    except RecursionError:
        return Arrival(record, stream, position, None, UnreadableEvent("Nested too deeply."))
    if position is None:
        return Arrival(record, stream, None, None, UnreadableEvent("No usable aggseq or aggepoch."))
    return Arrival(record, stream, position, envelope, None)


class Work:
    """Positions and blocked keys are read once, changed here, and written once."""

    def __init__(
        self,
        tx: Transaction,
        consumer: str,
        handlers: Handlers,
        plan: RetryPlan,
        offsets: Mapping[Partition, StoredOffset],
        counts: Counter[str],
    ) -> None:
        self._tx = tx
        self._consumer = consumer
        self._handlers = handlers
        self._plan = plan
        self._offsets = offsets
        self._counts = counts
        self._positions: dict[Stream, Position] = {}
        self._heads: dict[Stream, Head] = {}
        self._moved: dict[Stream, Position] = {}
        self._filled: set[Stream] = set()

    async def load(self, streams: Collection[Stream]) -> None:
        self._positions = await positions.read_positions(self._tx, self._consumer, streams)
        self._heads = await parking.heads_of(self._tx, self._consumer, streams)

    async def take(self, arrival: Arrival, park_with: Exception | None) -> None:
        """Apply, drop or park one event; raises what its handlers raise."""
        stream, position = arrival.stream, arrival.position
        last, head = self._positions.get(stream), self._heads.get(stream)
        if position is None:
            await self._park_unnumbered(arrival, last, head)
            return
        verdict = positions.judge(last, position, from_the_beginning=self._saw_the_beginning(arrival.record))
        if verdict is Verdict.DUPLICATE:
            self._counts["duplicates"] += 1
        elif head is not None and position >= head.position:
            await self._park_behind(arrival, position)
        elif verdict is Verdict.GAP:
            await self._park_gap(arrival, position, last, head)
        else:
            await self._apply(arrival, position, head, park_with)

    async def save(self) -> None:
        await positions.write_positions(self._tx, self._consumer, self._moved)
        for stream in self._filled:
            await parking.try_now(self._tx, self._heads[stream])

    async def _apply(
        self, arrival: Arrival, position: Position, head: Head | None, park_with: Exception | None
    ) -> None:
        envelope, error = arrival.envelope, arrival.error or park_with
        handlers: list[AnyHandler] = []
        if envelope is not None and error is None:
            try:
                handlers = self._handlers.handlers_of(envelope)
            except UnreadableEvent as unreadable:
                error = unreadable
        if envelope is None or error is not None:
            await self._park_at_head(arrival, position, head, error or UnreadableEvent())
            return
        await run_handlers(self._tx, envelope, handlers)
        self._counts["applied" if is_known(envelope) else "unknown"] += 1
        self._positions[arrival.stream] = self._moved[arrival.stream] = position
        if head is not None:
            self._counts["filled"] += 1
            self._filled.add(arrival.stream)

    async def _park_at_head(
        self, arrival: Arrival, position: Position, head: Head | None, error: Exception, *, numbered: bool = True
    ) -> None:
        if head is not None:
            await parking.step_behind(self._tx, head)
            self._filled.discard(arrival.stream)
        self._heads[arrival.stream] = await self._park(arrival, position, error, numbered=numbered)

    async def _park_behind(self, arrival: Arrival, position: Position, *, numbered: bool = True) -> None:
        if await parking.is_parked(self._tx, self._consumer, arrival.record, position if numbered else None):
            self._counts["duplicates"] += 1
        else:
            await self._park(arrival, position, None, numbered=numbered)

    async def _park_gap(self, arrival: Arrival, position: Position, last: Position | None, head: Head | None) -> None:
        self._counts["gaps"] += 1
        await self._park_at_head(arrival, position, head, Gap(parking.gap_text(last, position)))

    async def _park_unnumbered(self, arrival: Arrival, last: Position | None, head: Head | None) -> None:
        """It takes the number of the event before it, and so its place right behind that."""
        if await parking.is_parked(self._tx, self._consumer, arrival.record, None):
            self._counts["duplicates"] += 1
        elif head is None:
            error = arrival.error or UnreadableEvent()
            await self._park_at_head(arrival, last or Position(0, 0), None, error, numbered=False)
        else:
            tail = await parking.last_parked(self._tx, self._consumer, arrival.stream)
            await self._park_behind(arrival, tail or head.position, numbered=False)

    async def _park(self, arrival: Arrival, position: Position, error: Exception | None, *, numbered: bool) -> Head:
        self._counts["parked"] += 1
        return await parking.park(
            self._tx,
            self._consumer,
            arrival.record,
            position,
            numbered=numbered,
            type_name=arrival.envelope.type if arrival.envelope else None,
            error=error,
            plan=self._plan,
        )

    def _saw_the_beginning(self, record: Delivered) -> bool:
        return self._offsets[Partition(record.topic, record.partition)].start == 0
