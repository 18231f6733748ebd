"""A member of a consumer's group on Kafka, which shares partitions out and keeps none of our offsets."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError

from shared.kit.bus.kafka_client import Bury, KafkaSettings, milliseconds, trouble
from shared.kit.bus.log import Batch, Bounds, Delivered, Lag, LoadOffsets, Partition, storable

LONGEST_KEY = 200

log = structlog.get_logger("bus")


@dataclass(frozen=True, slots=True)
class _Read:
    """The last batch of a partition that was read: where it ends, and when its first and last record were told."""

    end: int
    first_told_at: datetime
    last_told_at: datetime


class KafkaSubscription(ConsumerRebalanceListener):  # type: ignore[misc]
    """A member of the consumer's group. Kafka only shares the partitions out; offsets are ours, also after a rebalance.

    The assignment may change at any await. What was read under the old one is caught by the offsets' fence.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        consumer: str,
        topics: Collection[str],
        load_offsets: LoadOffsets,
        bury: Bury,
    ) -> None:
        self._settings = settings
        self._group = f"{settings.group_prefix}{consumer}"
        self._topics = sorted(topics)
        self._load_offsets = load_offsets
        self._bury = bury
        self._client: AIOKafkaConsumer | None = None
        self._joining: AIOKafkaConsumer | None = None
        """The client, from before it has started."""
        self._next: dict[Partition, int] = {}
        self._refused: set[Partition] = set()
        self._read: dict[Partition, _Read] = {}
        self._caught_up_at: dict[Partition, datetime] = {}
        self._seen_waiting_at: dict[Partition, datetime] = {}

    async def poll(self, max_records: int, timeout: float) -> dict[Partition, Batch]:
        client = await self._started()
        try:
            _insist_on_reading(client)
            await self._settle(client)
            wanted = [_theirs(partition) for partition in self._next]
            if not wanted:
                await asyncio.sleep(min(timeout, 0.05))
                return {}
            # While the group rebalances getmany waits without looking at its timeout.
            found = await asyncio.wait_for(
                client.getmany(*wanted, timeout_ms=milliseconds(timeout), max_records=max_records), timeout + 1.0
            )
        except (NoOffsetForPartitionError, OffsetOutOfRangeError) as error:
            log.info("kafka offset to be settled", group=self._group, error=type(error).__name__)
            self._next.clear()
            return {}
        except TimeoutError:
            return {}
        except (KafkaError, OSError) as error:
            self._drop_client()
            raise await trouble(self._settings, "does not answer", error) from error
        return self._batches(found)

    def rewind(self, partitions: Collection[Partition]) -> None:
        for partition in partitions:
            self._next.pop(partition, None)
            self._refused.discard(partition)

    async def lag(self, applied: Mapping[Partition, int]) -> dict[Partition, Lag]:
        """Seconds are an upper bound, except for a partition of which this replica has not read anything yet."""
        if self._client is None:
            return {}
        now, lags = datetime.now(UTC), {}
        for partition in applied.keys() & {_ours(theirs) for theirs in self._client.assignment()}:
            end = self._client.highwater(_theirs(partition))
            waiting = max(end - applied[partition], 0) if end is not None else 0
            if waiting == 0:
                self._caught_up_at[partition] = now
                self._seen_waiting_at.pop(partition, None)
            since = self._waiting_since(partition, applied[partition], now) if waiting else now
            lags[partition] = Lag(waiting, max((now - since).total_seconds(), 0.0))
        return lags

    def _waiting_since(self, partition: Partition, applied: int, now: datetime) -> datetime:
        """What was read and not applied waits since it was told; what was not read came after what was."""
        read = self._read.get(partition)
        if read is not None and applied < read.end:
            return read.first_told_at
        known = [self._caught_up_at.get(partition), read.last_told_at if read else None]
        return max((at for at in known if at), default=self._seen_waiting_at.setdefault(partition, now))

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is None:
            return
        try:
            await asyncio.wait_for(client.stop(), self._settings.stop_seconds)
        except Exception:
            self._bury(end_consumer(client))

    def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        self.rewind([_ours(partition) for partition in revoked])
        for partition in map(_ours, revoked):
            # Another replica goes on: what this one knew of the wait is no longer so.
            for known in (self._read, self._caught_up_at, self._seen_waiting_at):
                known.pop(partition, None)

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        # The next poll seeks: here, an error of our database would only be logged, and reading begin elsewhere. Until
        # then each has some position and rests, or aiokafka asks the group for one, and dies of asking two brokers.
        assert self._joining is not None
        for partition in assigned:
            self._joining.seek(partition, 0)
            self._joining.pause(partition)
        self.rewind([_ours(partition) for partition in assigned])

    async def _started(self) -> AIOKafkaConsumer:
        if self._client is None:
            settings = self._settings
            client = AIOKafkaConsumer(
                **settings.connection(),
                group_id=self._group,
                group_instance_id=settings.group_instance_id,
                enable_auto_commit=False,
                auto_offset_reset="none",
                session_timeout_ms=milliseconds(settings.session_seconds),
                rebalance_timeout_ms=milliseconds(settings.rebalance_seconds),
                heartbeat_interval_ms=milliseconds(settings.heartbeat_seconds),
                fetch_max_wait_ms=250,
                retry_backoff_ms=100,
            )
            self._joining = client
            client.subscribe(self._topics, listener=self)
            try:
                # A join may have to wait for another member's session to run out.
                await asyncio.wait_for(client.start(), settings.start_seconds + settings.session_seconds)
            except BaseException as error:
                self._bury(end_consumer(client))
                if isinstance(error, TimeoutError | KafkaError | OSError):
                    raise await trouble(self._settings, "is away", error) from error
                raise
            self._client = client
        return self._client

    async def _settle(self, client: AIOKafkaConsumer) -> None:
        assigned = {_ours(partition) for partition in client.assignment()}
        for gone in self._next.keys() - assigned:
            del self._next[gone]
        self._refused &= assigned
        new = assigned - self._next.keys() - self._refused
        if not new:
            return

        async def read_bounds() -> Mapping[Partition, Bounds]:
            return await self._bounds(client, new)

        offsets = await self._load_offsets(new, read_bounds)
        still = {_ours(partition) for partition in client.assignment()}
        for partition, offset in offsets.items():
            if partition in still:
                client.seek(_theirs(partition), offset)
                client.resume(_theirs(partition))
                self._next[partition] = offset
        self._refused |= (new - offsets.keys()) & still

    async def _bounds(self, client: AIOKafkaConsumer, partitions: Collection[Partition]) -> dict[Partition, Bounds]:
        async with asyncio.timeout(self._settings.start_seconds):
            return await bounds_of(client, partitions)

    def _batches(self, found: Mapping[TopicPartition, Sequence[Any]]) -> dict[Partition, Batch]:
        batches = {}
        for theirs, records in found.items():
            partition = _ours(theirs)
            start = self._next.get(partition)
            if start is None or records[0].offset < start:
                self.rewind([partition])
                continue
            told = [delivered(record) for record in records]
            end = told[-1].offset + 1
            self._next[partition] = end
            self._read[partition] = _Read(end, told[0].timestamp, told[-1].timestamp)
            batches[partition] = Batch(start, told, end)
        return batches

    def _drop_client(self) -> None:
        client, self._client = self._client, None
        self._next.clear()
        if client is not None:
            self._bury(end_consumer(client))


def _insist_on_reading(client: AIOKafkaConsumer) -> None:
    """Raises KafkaError: aiokafka tells nobody that the task which fetches records has ended."""
    if client._fetcher._fetch_task.done():
        raise KafkaError("the fetching of records has ended")


async def bounds_of(client: AIOKafkaConsumer, partitions: Collection[Partition]) -> dict[Partition, Bounds]:
    theirs = [_theirs(partition) for partition in partitions]
    oldest = await client.beginning_offsets(theirs)
    ends = await client.end_offsets(theirs)
    return {_ours(partition): Bounds(oldest[partition], ends[partition]) for partition in theirs}


async def end_consumer(client: AIOKafkaConsumer) -> None:
    with suppress(Exception):
        await asyncio.wait_for(client.stop(), 2.0)
    coordinator = client._coordinator
    for task in (getattr(coordinator, "_coordination_task", None), getattr(coordinator, "_heartbeat_task", None)):
        if task is not None:
            task.cancel()
    with suppress(Exception):
        await asyncio.wait_for(client._client.close(), 1.0)


def delivered(record: Any) -> Delivered:
    return Delivered(
        topic=record.topic,
        key=_key_text(record.key),
        headers=[(name, value or b"") for name, value in record.headers],
        value=record.value or b"",
        partition=record.partition,
        offset=record.offset,
        timestamp=datetime.fromtimestamp(max(record.timestamp, 0) / 1000, UTC),
    )


def _key_text(key: bytes | None) -> str:
    """A foreign writer may use any bytes; the key must still name one row of ours."""
    text = storable((key or b"").decode("utf-8", "backslashreplace"))
    return text if len(text) <= LONGEST_KEY else f"{text[:100]}…{sha256(key or b'').hexdigest()}"


def _ours(partition: TopicPartition) -> Partition:
    return Partition(partition.topic, partition.partition)


def _theirs(partition: Partition) -> TopicPartition:
    return TopicPartition(partition.topic, partition.number)
