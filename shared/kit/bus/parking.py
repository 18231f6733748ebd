"""Events that could not be applied: each blocks its own key until a retry succeeds or a person skips it."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
import structlog

from shared.kernel.errors import Conflict, Invalid, NotFound
from shared.kernel.ids import new_id
from shared.kit.bus import metrics, positions, sets
from shared.kit.bus.clock import real_now
from shared.kit.bus.log import Delivered, headers_from_json, headers_to_json, storable
from shared.kit.bus.positions import Position, Stream
from shared.kit.bus.tables import parked_events
from shared.kit.db import Reader, Transaction

MOST_AT_ONCE = 1_000

log = structlog.get_logger("bus")


class NoSuchParkedEvent(NotFound):
    """No event is parked under this id."""


class NotBlocking(Conflict):
    """This event does not block its key: it was skipped, or waits behind another."""


class NotAGap(Conflict):
    """This event does not wait for one that is missing."""


class ReasonMissing(Invalid):
    """Skipping an event needs a reason."""


class Gap(Exception):
    """An event before this one has not arrived."""


@dataclass(frozen=True)
class RetryPlan:
    """Seconds before the first retry, doubling up to the longest; after so many attempts a person decides."""

    first_seconds: float = 5.0
    longest_seconds: float = 3600.0
    attempts: int = 16

    def delay(self, attempts: int) -> timedelta:
        """Before the retry that follows `attempts` failed ones; up to a quarter less, so that keys do not march."""
        seconds = min(self.first_seconds * 2 ** min(attempts, 32), self.longest_seconds)
        return timedelta(seconds=seconds * random.uniform(0.75, 1.0))  # noqa: S311


@dataclass(frozen=True, kw_only=True)
class ParkedEvent:
    """`status`: `waiting` for its next attempt, `held` for a person, `behind` another, or `skipped`."""

    id: UUID
    consumer: str
    topic: str
    partition: int
    offset: int
    key: str
    epoch: int
    seq: int
    numbered: bool
    type: str | None
    headers: list[tuple[str, bytes]]
    value: bytes
    status: str
    error_class: str | None
    error: str | None
    attempts: int
    parked_at: datetime
    next_attempt_at: datetime | None
    skipped_at: datetime | None
    skipped_by: str | None
    skipped_reason: str | None

    @property
    def stream(self) -> Stream:
        return Stream(self.topic, self.key)

    @property
    def position(self) -> Position:
        return Position(self.epoch, self.seq)


class Head(NamedTuple):
    """The event that blocks a key."""

    id: UUID
    position: Position


AuditSkip = Callable[[Transaction, ParkedEvent], None]

BLOCKING = sa.text("status IN ('waiting', 'held')")
"""A literal, or a generic plan loses the partial index."""
_ORDER = (parked_events.c.epoch, parked_events.c.seq, parked_events.c.offset)


async def list_parked(
    reader: Reader,
    *,
    consumer: str | None = None,
    error_class: str | None = None,
    statuses: Collection[str] = ("waiting", "held"),
    limit: int = 100,
) -> list[ParkedEvent]:
    """What is parked, oldest first; by default the events that block a key."""
    statement = sa.select(parked_events).where(parked_events.c.status.in_(list(statuses)))
    if consumer is not None:
        statement = statement.where(parked_events.c.consumer == consumer)
    if error_class is not None:
        statement = statement.where(parked_events.c.error_class == error_class)
    rows = await reader.rows(
        statement.order_by(parked_events.c.parked_at, parked_events.c.id).limit(min(limit, MOST_AT_ONCE))
    )
    return [_parked(row) for row in rows]


async def show(reader: Reader, parked_id: UUID) -> ParkedEvent:
    """Raises NoSuchParkedEvent."""
    row = await reader.row(sa.select(parked_events).where(parked_events.c.id == parked_id))
    if row is None:
        raise NoSuchParkedEvent()
    return _parked(row)


async def followers(reader: Reader, parked: ParkedEvent, *, limit: int = 100) -> list[ParkedEvent]:
    """What waits behind this event, in the order in which it will be applied."""
    rows = await reader.rows(
        sa.select(parked_events)
        .where(*_of_stream(parked.consumer, parked.stream), parked_events.c.status == "behind")
        .order_by(*_ORDER)
        .limit(min(limit, MOST_AT_ONCE))
    )
    return [_parked(row) for row in rows]


async def retry(tx: Transaction, parked_id: UUID, *, accept_gap: bool = False) -> None:
    """Have the worker try again at once, with all its attempts anew; raises NoSuchParkedEvent, NotBlocking, NotAGap.

    `accept_gap`: the missing events will never come; apply this one without them.
    """
    parked = await locked_head(tx, parked_id)
    if accept_gap:
        if parked.error_class != Gap.__name__:
            raise NotAGap()
        before = Position(parked.epoch, parked.seq - 1)
        await positions.write_positions(tx, parked.consumer, {parked.stream: before})
    await _change(tx, parked.id, status="waiting", attempts=0, next_attempt_at=await real_now(tx))
    tx.rings = True


async def retry_all(tx: Transaction, *, consumer: str, error_class: str) -> int:
    """`retry` for every key blocked by this error (at most 1,000); returns how many."""
    heads = await list_parked(tx, consumer=consumer, error_class=error_class, limit=MOST_AT_ONCE)
    for head in _in_lock_order(heads):
        await retry(tx, head.id)
    return len(heads)


async def skip(tx: Transaction, parked_id: UUID, *, reason: str, by: str, audit: AuditSkip | None = None) -> None:
    """Go on without this event, which is kept as skipped; raises NoSuchParkedEvent, NotBlocking, ReasonMissing.

    `audit` is called with the event as it is kept, to record who skipped what.
    """
    if not reason.strip():
        raise ReasonMissing(field="reason")
    parked = await locked_head(tx, parked_id)
    now = await real_now(tx)
    await _change(
        tx,
        parked.id,
        status="skipped",
        next_attempt_at=None,
        skipped_at=now,
        skipped_by=by[:200],
        skipped_reason=reason.strip()[:500],
    )
    last = (await positions.read_positions(tx, parked.consumer, [parked.stream])).get(parked.stream)
    if parked.numbered and (last is None or parked.position > last):
        await positions.write_positions(tx, parked.consumer, {parked.stream: parked.position})
    await promote_next(tx, parked.consumer, parked.stream, now)
    tx.rings = True
    if audit is not None:
        audit(tx, await show(tx, parked.id))


async def skip_all(
    tx: Transaction, *, consumer: str, error_class: str, reason: str, by: str, audit: AuditSkip | None = None
) -> int:
    """`skip` every event that blocks its key with this error (at most 1,000); returns how many."""
    heads = await list_parked(tx, consumer=consumer, error_class=error_class, limit=MOST_AT_ONCE)
    for head in _in_lock_order(heads):
        await skip(tx, head.id, reason=reason, by=by, audit=audit)
    return len(heads)


# What the consumer uses, in a transaction that has locked the partition.


async def heads_of(tx: Reader, consumer: str, streams: Collection[Stream]) -> dict[Stream, Head]:
    """Which of these keys are blocked, and by what."""
    columns = parked_events.c
    heads: dict[Stream, Head] = {}
    for topic, keys in positions.by_topic(streams).items():
        rows = await tx.rows(
            sa.select(columns.id, columns.key, columns.epoch, columns.seq).where(
                columns.consumer == consumer, columns.topic == topic, BLOCKING, sets.among(tx, columns.key, keys)
            )
        )
        heads.update((Stream(topic, row.key), Head(row.id, Position(row.epoch, row.seq))) for row in rows)
    return heads


async def is_parked(tx: Reader, consumer: str, record: Delivered, position: Position | None) -> bool:
    """Whether this event, or this very record when it has no number, is parked already."""
    columns = parked_events.c
    if position is not None:
        same = sa.and_(columns.epoch == position.epoch, columns.seq == position.seq, columns.numbered)
    else:
        same = sa.and_(columns.partition == record.partition, columns.offset == record.offset)
    stream = Stream(record.topic, record.key)
    return await tx.scalar(sa.select(columns.id).where(*_of_stream(consumer, stream), same).limit(1)) is not None


async def last_parked(tx: Reader, consumer: str, stream: Stream) -> Position | None:
    columns = parked_events.c
    row = await tx.row(
        sa.select(columns.epoch, columns.seq)
        .where(*_of_stream(consumer, stream), columns.status != "skipped")
        .order_by(columns.epoch.desc(), columns.seq.desc())
        .limit(1)
    )
    return None if row is None else Position(row.epoch, row.seq)


async def park(
    tx: Transaction,
    consumer: str,
    record: Delivered,
    position: Position,
    *,
    numbered: bool,
    type_name: str | None,
    error: Exception | None,
    plan: RetryPlan,
) -> Head:
    """Keep the event at the head of its key because of `error`, or behind the head when there is none."""
    now = await real_now(tx)
    parked_id = new_id()
    await tx.insert(
        parked_events,
        {
            "id": parked_id,
            "consumer": consumer,
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "key": record.key,
            "epoch": position.epoch,
            "seq": position.seq,
            "numbered": numbered,
            "type": type_name and storable(type_name)[:200],
            "headers": headers_to_json(record.headers),
            "value": record.value,
            "status": "behind" if error is None else "waiting",
            "error_class": None if error is None else class_of(error),
            "error": None if error is None else text_of(error),
            "attempts": 0,
            "parked_at": now,
            "next_attempt_at": None if error is None else now + plan.delay(0),
        },
    )
    if error is not None:
        metrics.PARKED.labels(consumer, class_of(error)).inc()
        log.error(
            "event parked",
            consumer=consumer,
            topic=record.topic,
            key=record.key,
            offset=record.offset,
            error=type(error).__name__,
            exc_info=error,
        )
    return Head(parked_id, position)


async def step_behind(tx: Transaction, head: Head) -> None:
    """An earlier event of the key has arrived and will be its head."""
    await _change(tx, head.id, status="behind", next_attempt_at=None)


async def try_now(tx: Transaction, head: Head) -> None:
    """What the head waited for has arrived."""
    await _change(tx, head.id, status="waiting", next_attempt_at=await real_now(tx))


async def locked_head(tx: Transaction, parked_id: UUID) -> ParkedEvent:
    """The event that blocks its key, with its partition locked; raises NoSuchParkedEvent, NotBlocking."""
    parked = await show(tx, parked_id)
    await positions.lock_partition(tx, parked.consumer, parked.topic, parked.partition)
    # The row itself too: a partition whose offsets were forgotten has no row to lock.
    row = await tx.row(sa.select(parked_events).where(parked_events.c.id == parked_id).with_for_update())
    if row is None:
        raise NoSuchParkedEvent()
    parked = _parked(row)
    if parked.status not in {"waiting", "held"}:
        raise NotBlocking(f"The event is {parked.status}.", state=parked.status)
    return parked


async def promote_next(tx: Transaction, consumer: str, stream: Stream, now: datetime) -> UUID | None:
    columns = parked_events.c
    next_id: UUID | None = await tx.scalar(
        sa.select(columns.id)
        .where(*_of_stream(consumer, stream), columns.status == "behind")
        .order_by(*_ORDER)
        .limit(1)
    )
    if next_id is not None:
        await _change(tx, next_id, status="waiting", next_attempt_at=now)
    return next_id


async def _change(tx: Transaction, parked_id: UUID, **values: Any) -> None:
    await tx.execute(sa.update(parked_events).where(parked_events.c.id == parked_id).values(**values))


def _of_stream(consumer: str, stream: Stream) -> tuple[sa.ColumnElement[bool], ...]:
    columns = parked_events.c
    return columns.consumer == consumer, columns.topic == stream.topic, columns.key == stream.key


def _in_lock_order(heads: Sequence[ParkedEvent]) -> list[ParkedEvent]:
    return sorted(heads, key=lambda head: (head.topic, head.partition))


def _parked(row: sa.Row[Any]) -> ParkedEvent:
    values = dict(row._mapping)
    return ParkedEvent(**{**values, "headers": headers_from_json(values["headers"])})


def class_of(error: Exception) -> str:
    return type(error).__name__[:100]


def text_of(error: Exception) -> str:
    return storable(str(error))[:500]


def gap_text(last: Position | None, position: Position) -> str:
    before = "nothing" if last is None else f"seq {last.seq} of epoch {last.epoch}"
    return f"seq {position.seq} of epoch {position.epoch} arrived after {before}"
