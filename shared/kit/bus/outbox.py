"""The commit hook that turns a transaction's facts into outbox rows, and the epoch of a restored database."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from shared.events.envelope import Envelope, Fact
from shared.kernel.ids import new_id
from shared.kit.bus import sets
from shared.kit.bus.clock import real_now
from shared.kit.bus.log import stable_hash
from shared.kit.bus.tables import outbox, stream_epoch
from shared.kit.db import Transaction

SHARDS = 16
LARGEST_VALUE_BYTES = 512 * 1024
"""A record that a broker refuses as too large would stop its shard for ever, so it does not commit."""

CLOUDEVENTS_JSON = "application/cloudevents+json"


@dataclass(frozen=True, slots=True)
class Raw:
    """A publication outside the published language: a structured CloudEvent for a partner's topic."""

    topic: str
    key: str
    envelope: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Caused:
    """A fact announced while one of several events of a transaction was handled."""

    fact: Fact | Raw
    correlation_id: str | None
    causation_id: str | None
    traceparent: str | None


async def flush(tx: Transaction) -> None:
    """Write the announced facts to the outbox, numbered within their streams; `envelopes_of(tx)` tells their ids."""
    if not tx.facts:
        return
    announced = [_with_cause(fact, tx) for fact in tx.facts]
    numbers = await _numbers(tx, [_stream(item.fact) for item in announced])
    enqueued_at = tx.database.clock.now()
    rows, envelopes = [], []
    for item in announced:
        topic, key = _stream(item.fact)
        epoch, seq = next(numbers[topic, key])
        if isinstance(item.fact, Raw):
            headers, value = _structured(item.fact)
        else:
            envelope = _envelope(tx, item, item.fact, epoch, seq)
            envelopes.append(envelope)
            headers, value = envelope.binary()
        if len(value) > LARGEST_VALUE_BYTES:
            raise ValueError(f"an event of {len(value)} bytes on {topic} is larger than the log takes")
        rows.append(
            {
                "shard": stable_hash(topic, key) % SHARDS,
                "topic": topic,
                "key": key,
                "headers": [[name, content.decode()] for name, content in headers],
                "value": value,
                "enqueued_at": enqueued_at,
            }
        )
    await sets.put(tx, outbox, rows)
    tx.__dict__["envelopes"] = envelopes


def envelopes_of(tx: Transaction) -> list[Envelope]:
    """The envelopes of the facts that `flush` wrote, in the order of announcement."""
    envelopes: list[Envelope] = tx.__dict__.get("envelopes", [])
    return envelopes


async def bump_epoch(tx: Transaction) -> int:
    """After a restore of this database from a backup: streams begin again at seq 1 in a higher epoch, returned.

    The epoch is the Unix time in seconds, so that a second restore, from a backup older than the
    first bump, is still higher than everything the consumers have seen.
    """
    now = await real_now(tx)
    current = await tx.scalar(sa.select(stream_epoch.c.epoch).where(stream_epoch.c.id == 1)) or 1
    epoch = max(current + 1, int(now.timestamp()))
    await tx.upsert(stream_epoch, {"id": 1, "epoch": epoch}, on=["id"], update=["epoch"])
    return epoch


def _with_cause(fact: Any, tx: Transaction) -> Caused:
    return fact if isinstance(fact, Caused) else Caused(fact, tx.correlation_id, tx.causation_id, tx.traceparent)


def _stream(fact: Fact | Raw) -> tuple[str, str]:
    return (fact.topic, fact.key) if isinstance(fact, Raw) else (fact.topic(), str(fact.aggregate_id()))


def _structured(raw: Raw) -> tuple[list[tuple[str, bytes]], bytes]:
    value = json.dumps(raw.envelope, separators=(",", ":"), ensure_ascii=False).encode()
    return [("content-type", CLOUDEVENTS_JSON.encode())], value


def _envelope(tx: Transaction, item: Caused, fact: Fact, epoch: int, seq: int) -> Envelope:
    event_id = new_id()
    return Envelope(
        id=event_id,
        source=f"/{fact.producer}",
        type=fact.type_name(),
        subject=str(fact.aggregate_id()),
        time=tx.now,
        dataschema=f"mainstay:schemas/{fact.schema_name()}",
        aggseq=seq,
        aggepoch=epoch,
        correlationid=item.correlation_id or str(event_id),
        causationid=item.causation_id,
        traceparent=item.traceparent,
        data=fact.model_dump(mode="json"),
    )


async def _numbers(
    tx: Transaction, announced: list[tuple[str, str]]
) -> dict[tuple[str, str], Iterator[tuple[int, int]]]:
    """(epoch, seq) for each fact, by stream.

    The upsert locks the stream rows, in one order for all transactions, until the commit: only
    then are ids of outbox rows in the order of seq within a stream.
    """
    counts = sorted(Counter(announced).items())
    if tx.dialect == "postgresql":
        rows = await tx.rows(
            _NUMBER_ON_POSTGRESQL,
            {
                "topics": [topic for (topic, _), _ in counts],
                "keys": [key for (_, key), _ in counts],
                "counts": [count for _, count in counts],
            },
        )
    else:
        rows = await tx.rows(_NUMBER_ON_SQLITE, {"streams": json.dumps([[*stream, n] for stream, n in counts])})
    how_many = dict(counts)
    return {
        (row.topic, row.key): iter(
            [(row.epoch, seq) for seq in range(row.seq - how_many[row.topic, row.key] + 1, row.seq + 1)]
        )
        for row in rows
    }


_ON_CONFLICT = """
ON CONFLICT (topic, key) DO UPDATE SET
  seq = CASE WHEN streams.epoch >= excluded.epoch THEN streams.seq + excluded.seq ELSE excluded.seq END,
  epoch = CASE WHEN streams.epoch >= excluded.epoch THEN streams.epoch ELSE excluded.epoch END
RETURNING topic, key, epoch, seq
"""
_EPOCH = "coalesce((SELECT epoch FROM stream_epoch WHERE id = 1), 1)"
_NUMBER_ON_POSTGRESQL = sa.text(
    f"INSERT INTO streams (topic, key, epoch, seq) SELECT topic, key, {_EPOCH}, n "  # noqa: S608
    "FROM unnest(CAST(:topics AS TEXT[]), CAST(:keys AS TEXT[]), CAST(:counts AS BIGINT[])) "
    f"WITH ORDINALITY AS given(topic, key, n, place) ORDER BY place {_ON_CONFLICT}"
)
_NUMBER_ON_SQLITE = sa.text(
    "INSERT INTO streams (topic, key, epoch, seq) "  # noqa: S608
    f"SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), {_EPOCH}, json_extract(value, '$[2]') "
    f"FROM json_each(:streams) WHERE true {_ON_CONFLICT}"
)
