"""Applying events again: those that were skipped, and those of a key that the log still holds."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import sqlalchemy as sa

from shared.events.envelope import Envelope
from shared.kernel.errors import Conflict, Unavailable
from shared.kit.bus import parking, positions
from shared.kit.bus.handlers import Handlers, run_handlers
from shared.kit.bus.parking import ParkedEvent
from shared.kit.bus.positions import FROM_THE_OLDEST, Position, Stream
from shared.kit.bus.tables import consumer_offsets, parked_events
from shared.kit.db import LockedByAnother, Transaction


class NotSkipped(Conflict):
    """Only an event that was skipped is applied after all; one that blocks its key is retried."""


class StillFails(Conflict):
    """This event still cannot be applied."""


class KeyBlocked(Conflict):
    """This key waits for a parked event: retry or skip that first."""


class NothingToReplay(Conflict):
    """Of this key nothing was applied from that number on."""


async def replay_skipped(tx: Transaction, handlers: Handlers, parked_id: UUID) -> ParkedEvent:
    """Apply a skipped event after all, behind whatever its key has had since, and forget that it was skipped.

    Raises NoSuchParkedEvent, NotSkipped, StillFails.
    """
    parked = await parking.show(tx, parked_id)
    await positions.lock_partition(tx, parked.consumer, parked.topic, parked.partition)
    parked = await parking.show(tx, parked_id)
    if parked.status != "skipped":
        raise NotSkipped(f"The event is {parked.status}.", state=parked.status)
    ordered_by = tx.actor, tx.correlation_id, tx.causation_id, tx.traceparent
    try:
        envelope = Envelope.from_binary(parked.headers, parked.value)
        await run_handlers(tx, envelope, handlers.handlers_of(envelope))
    except (Unavailable, LockedByAnother):
        raise
    except Exception as error:
        raise StillFails(f"It failed with {type(error).__name__}.", error=type(error).__name__) from error
    finally:
        tx.actor, tx.correlation_id, tx.causation_id, tx.traceparent = ordered_by
    await tx.execute(sa.delete(parked_events).where(parked_events.c.id == parked.id))
    return parked


async def replay_key(tx: Transaction, consumer: str, stream: Stream, *, from_seq: int) -> Position:
    """Have the worker hear this key's events once more, from that number of its present epoch on.

    The consumer reads the topic again as far back as the log goes; other keys drop what they have had. Returns the
    position that the key had; raises NothingToReplay, KeyBlocked.
    """
    columns = consumer_offsets.c
    of_topic = (columns.consumer == consumer, columns.topic == stream.topic)
    await tx.rows(sa.select(columns.partition).where(*of_topic).order_by(columns.partition).with_for_update())
    last = (await positions.read_positions(tx, consumer, [stream])).get(stream)
    if last is None or not 1 <= from_seq <= last.seq:
        raise NothingToReplay(last_seq=0 if last is None else last.seq)
    if await parking.heads_of(tx, consumer, [stream]):
        raise KeyBlocked()
    await positions.write_positions(tx, consumer, {stream: Position(last.epoch, from_seq - 1)})
    await tx.execute(sa.update(consumer_offsets).where(*of_topic).values(next_offset=FROM_THE_OLDEST))
    return last


async def replay_all_skipped(
    tx: Transaction,
    handlers: Handlers,
    *,
    consumer: str,
    error_class: str,
    told: Callable[[int], object] = lambda _count: None,
) -> list[ParkedEvent]:
    """`replay_skipped` for what was skipped with this error (at most 1,000), oldest first: all or, raising, none.

    `told` hears how many have been applied so far.
    """
    skipped = await parking.list_parked(
        tx, consumer=consumer, error_class=error_class, statuses=("skipped",), limit=parking.MOST_AT_ONCE
    )
    applied = []
    for event in skipped:
        applied.append(await replay_skipped(tx, handlers, event.id))
        told(len(applied))
    return applied
