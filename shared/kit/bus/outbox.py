"""The commit hook that turns a transaction's facts into outbox rows, and the epoch of a restored database."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from shared.events.envelope import Envelope, Fact, binary_headers, number_headers
from shared.kernel.ids import new_id
from shared.kit.bus.clock import real_now
from shared.kit.bus.log import stable_hash
from shared.kit.bus.tables import outbox, stream_epoch
from shared.kit.db import Fixed, Reader, Rows, Transaction

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


@dataclass(frozen=True, slots=True)
class Told:
    """One announced fact as it will travel, but for its number."""

    topic: str
    key: str
    headers: list[tuple[str, str]]
    value: bytes
    is_numbered: bool

    @property
    def shard(self) -> int:
        return stable_hash(self.topic, self.key) % SHARDS

    def numbered(self, epoch: int, seq: int) -> list[tuple[str, str]]:
        return self.headers + number_headers(epoch, seq) if self.is_numbered else self.headers


async def flush(tx: Transaction) -> None:
    """Commit hook: write the announced facts to the outbox, numbered within their streams."""
    if not tx.facts:
        return
    told = [_told(tx, announced) for announced in tx.facts]
    tx.__dict__["told"] = told
    if tx.dialect == "postgresql":
        tx.at_the_end("numbered", _NUMBER_ON_POSTGRESQL, _streams(told), told=lambda rows: _keep_numbers(tx, rows))
        tx.at_the_end("put_out", _PUT_ON_POSTGRESQL, _arrays(tx, told))
        return
    streams = json.dumps([[*stream, count] for stream, count in sorted(_counts(told).items())])
    _keep_numbers(tx, await tx.rows(_NUMBER_ON_SQLITE, {"streams": streams}))
    rows = [
        {
            "shard": item.shard,
            "topic": item.topic,
            "key": item.key,
            "headers": item.numbered(epoch, seq),
            "value": item.value,
            "enqueued_at": tx.database.clock.now(),
        }
        for item, (epoch, seq) in zip(told, _numbers_of(tx), strict=True)
    ]
    await tx.insert(outbox, rows)


def envelopes_of(tx: Transaction) -> list[Envelope]:
    """The envelopes of the facts that `tx` wrote, in the order of announcement."""
    told: list[Told] = tx.__dict__.get("told", [])
    return [
        Envelope.from_binary([(name, text.encode()) for name, text in item.numbered(*number)], item.value)
        for item, number in zip(told, _numbers_of(tx), strict=True)
        if item.is_numbered
    ]


async def current_epoch(reader: Reader) -> int:
    """In which the next fact of any stream will be numbered."""
    epoch: int | None = await reader.scalar(sa.select(stream_epoch.c.epoch).where(stream_epoch.c.id == 1))
    return epoch or 1


async def bump_epoch(tx: Transaction) -> int:
    """After a restore of this database from a backup: streams begin again at seq 1 in a higher epoch, returned.

    The epoch is the Unix time in seconds, so that a second restore, from a backup older than the
    first bump, is still higher than everything the consumers have seen.
    """
    now = await real_now(tx)
    epoch = max(await current_epoch(tx) + 1, int(now.timestamp()))
    await tx.upsert(stream_epoch, {"id": 1, "epoch": epoch}, on=["id"], update=["epoch"])
    return epoch


def _told(tx: Transaction, announced: Fact | Raw | Caused) -> Told:
    fact, cause = (announced.fact, announced) if isinstance(announced, Caused) else (announced, tx)
    if isinstance(fact, Raw):
        value = json.dumps(fact.envelope, separators=(",", ":"), ensure_ascii=False).encode()
        told = Told(fact.topic, fact.key, [("content-type", CLOUDEVENTS_JSON)], value, is_numbered=False)
    else:
        event_id, key = str(new_id()), str(fact.aggregate_id())
        headers = binary_headers(
            id=event_id,
            source=f"/{fact.producer}",
            type=fact.type_name(),
            subject=key,
            time=tx.now,
            dataschema=f"mainstay:schemas/{fact.schema_name()}",
            correlationid=cause.correlation_id or event_id,
            causationid=cause.causation_id,
            traceparent=cause.traceparent,
        )
        told = Told(fact.topic(), key, headers, fact.model_dump_json().encode(), is_numbered=True)
    if len(told.value) > LARGEST_VALUE_BYTES:
        raise ValueError(f"an event of {len(told.value)} bytes on {told.topic} is larger than the log takes")
    return told


def _counts(told: Sequence[Told]) -> Counter[tuple[str, str]]:
    return Counter((item.topic, item.key) for item in told)


def _streams(told: Sequence[Told]) -> dict[str, Any]:
    """In one order for all transactions: the upsert locks the rows of the streams until the commit.

    Only so are ids of outbox rows in the order of seq within a stream, and nobody waits for somebody who waits for him.
    """
    counts = sorted(_counts(told).items())
    return {
        "stream_topics": [topic for (topic, _), _ in counts],
        "stream_keys": [key for (_, key), _ in counts],
        "stream_counts": [count for _, count in counts],
    }


def _behind(told: Sequence[Told]) -> list[int]:
    """For each fact how many of its stream come after it."""
    left, behind = _counts(told), []
    for item in told:
        left[item.topic, item.key] -= 1
        behind.append(left[item.topic, item.key])
    return behind


def _arrays(tx: Transaction, told: Sequence[Told]) -> dict[str, Any]:
    return {
        "out_shards": [item.shard for item in told],
        "out_topics": [item.topic for item in told],
        "out_keys": [item.key for item in told],
        "out_headers": [json.dumps(item.headers)[:-1] for item in told],
        "out_numbered": [item.is_numbered for item in told],
        "out_values": [item.value for item in told],
        "out_behind": _behind(told),
        "out_enqueued_at": tx.database.clock.now(),
    }


def _keep_numbers(tx: Transaction, rows: Rows) -> None:
    tx.__dict__["numbers"] = {(row.topic, row.key): (row.epoch, row.seq) for row in rows}


def _numbers_of(tx: Transaction) -> Iterator[tuple[int, int]]:
    """(epoch, seq) of each announced fact; a stream's row holds the number of its last one."""
    told: list[Told] = tx.__dict__.get("told", [])
    for item, behind in zip(told, _behind(told), strict=True):
        epoch, last = tx.__dict__["numbers"][item.topic, item.key]
        yield epoch, last - behind


_ON_CONFLICT = """
ON CONFLICT (topic, key) DO UPDATE SET
  seq = CASE WHEN streams.epoch >= excluded.epoch THEN streams.seq + excluded.seq ELSE excluded.seq END,
  epoch = CASE WHEN streams.epoch >= excluded.epoch THEN streams.epoch ELSE excluded.epoch END
RETURNING topic, key, epoch, seq
"""
_EPOCH = "coalesce((SELECT epoch FROM stream_epoch WHERE id = 1), 1)"
_NUMBER_ON_POSTGRESQL = (
    f"INSERT INTO streams (topic, key, epoch, seq) SELECT topic, key, {_EPOCH}, n "  # noqa: S608
    "FROM unnest(CAST(:stream_topics AS TEXT[]), CAST(:stream_keys AS TEXT[]), CAST(:stream_counts AS BIGINT[])) "
    f"WITH ORDINALITY AS given(topic, key, n, place) ORDER BY place {_ON_CONFLICT}"
)
# Joined to what was numbered, so that no id is drawn before its stream's row is locked.
_PUT_ON_POSTGRESQL = """
INSERT INTO outbox (shard, topic, key, headers, value, enqueued_at)
SELECT given.shard, given.topic, given.key, CAST(given.headers || CASE WHEN given.numbered THEN
  ', ["ce_aggseq", "' || (numbered.seq - given.behind) || '"], ["ce_aggepoch", "' || numbered.epoch || '"]'
  ELSE '' END || ']' AS JSON), given.value, :out_enqueued_at
FROM unnest(
  CAST(:out_shards AS SMALLINT[]), CAST(:out_topics AS TEXT[]), CAST(:out_keys AS TEXT[]),
  CAST(:out_headers AS TEXT[]), CAST(:out_numbered AS BOOLEAN[]), CAST(:out_values AS BYTEA[]),
  CAST(:out_behind AS BIGINT[])
) WITH ORDINALITY AS given(shard, topic, key, headers, numbered, value, behind, place)
JOIN numbered ON numbered.topic = given.topic AND numbered.key = given.key ORDER BY place
"""
_NUMBER_ON_SQLITE = Fixed(
    sa.text(
        "INSERT INTO streams (topic, key, epoch, seq) "  # noqa: S608
        f"SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), {_EPOCH}, json_extract(value, '$[2]') "
        f"FROM json_each(:streams) WHERE true {_ON_CONFLICT}"
    )
)
