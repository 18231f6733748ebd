"""The event log on Kafka, with aiokafka kept on a short lead: own timeouts, own offsets, own partitioner."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import (
    KafkaError,
    MessageSizeTooLargeError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)
from aiokafka.partitioner import murmur2

from shared.events.registry import partitions_of
from shared.kit.bus import kafka_topics
from shared.kit.bus.kafka_client import Bury, KafkaSettings, administering, trouble
from shared.kit.bus.log import (
    READY_SECONDS,
    Batch,
    Bounds,
    Delivered,
    Lag,
    LoadOffsets,
    LogAway,
    Partition,
    Record,
    TopicState,
    storable,
)

log = structlog.get_logger("bus")

LONGEST_KEY = 200
LONGEST_REQUEST_SECONDS = 40.0
"""aiokafka's own bound; `patience` ends an append before."""


class KafkaLog:
    """An EventLog over one Kafka cluster, for all services of a process."""

    def __init__(self, settings: KafkaSettings) -> None:
        self.settings = settings
        self._counts: dict[str, int] = {}
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()
        self._buried: set[asyncio.Task[None]] = set()

    async def append(self, records: Sequence[Record]) -> None:
        if not records:
            return
        topics = {record.topic for record in records}
        counts = await self._counts_of(topics)
        producer = await self._started_producer()
        try:
            async with asyncio.timeout(self.settings.patience(len(topics))):
                await _send_all(producer, records, counts)
        except BaseException as error:
            # After one delivery error an idempotent producer's sequence numbers do not fit any more; and what it
            # still holds would only come as duplicates behind the next attempt.
            self._abandon_producer(producer)
            self._counts.clear()
            if isinstance(error, TimeoutError | KafkaError | OSError):
                raise await trouble(self.settings, "did not take the events", error) from error
            raise

    def subscribe(self, consumer: str, topics: Collection[str], load_offsets: LoadOffsets) -> KafkaSubscription:
        return KafkaSubscription(self.settings, consumer, topics, load_offsets, self._bury)

    async def ensure_topics(self, topics: Collection[str], partitions: int | None = None) -> None:
        missing = sorted(set(topics) - self._counts.keys())
        if not missing:
            return
        async with administering(self.settings, "did not show its topics", self._bury) as admin:
            wanted = {topic: partitions or partitions_of(topic, self.settings.partitions) for topic in missing}
            self._counts.update(await kafka_topics.create(admin, self.settings, wanted))

    async def topics(self) -> dict[str, TopicState]:
        async with administering(self.settings, "did not show its topics", self._bury) as admin:
            return await kafka_topics.describe(admin)

    async def knock(self) -> None:
        """Raises LogRefused when the brokers do not let this process in, LogAway when none answers."""
        async with administering(self.settings, "is away", self._bury):
            return

    async def bounds(self, topics: Collection[str]) -> dict[Partition, Bounds]:
        counts = await self._counts_of(topics)
        theirs = [TopicPartition(topic, number) for topic in topics for number in range(counts[topic])]
        client = AIOKafkaConsumer(**self.settings.connection(), enable_auto_commit=False)
        try:
            async with asyncio.timeout(2 * self.settings.start_seconds):
                await client.start()
                return await _bounds(client, theirs)
        except (TimeoutError, KafkaError, OSError) as error:
            raise await trouble(self.settings, "did not show its offsets", error) from error
        finally:
            self._bury(_end_consumer(client))

    async def state(self) -> str:
        """Asks the brokers over the producer's own connections, which the relay needs anyway."""
        try:
            async with asyncio.timeout(READY_SECONDS):
                producer = await self._started_producer()
                return "ok" if await producer.client.force_metadata_update() else LogAway.code()
        except LogAway as away:
            return away.code()
        except TimeoutError:
            return LogAway.code()

    async def close(self) -> None:
        """Bounded also when no broker answers."""
        if self._producer is not None:
            producer, self._producer = self._producer, None
            try:
                await asyncio.wait_for(producer.stop(), self.settings.stop_seconds)
            except Exception:
                self._bury(_end_producer(producer))
        if self._buried:
            await asyncio.wait(self._buried, timeout=self.settings.stop_seconds)

    async def _counts_of(self, topics: Collection[str]) -> Mapping[str, int]:
        await self.ensure_topics(topics)
        return self._counts

    async def _started_producer(self) -> AIOKafkaProducer:
        async with self._starting:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    **self.settings.connection(),
                    acks="all",
                    enable_idempotence=True,
                    max_batch_size=256 * 1024,
                    request_timeout_ms=_ms(LONGEST_REQUEST_SECONDS),
                )
                try:
                    await asyncio.wait_for(producer.start(), self.settings.start_seconds)
                except BaseException as error:
                    self._bury(_end_producer(producer))
                    if isinstance(error, TimeoutError | KafkaError | OSError):
                        raise await trouble(self.settings, "is away", error) from error
                    raise
                self._producer = producer
            return self._producer

    def _abandon_producer(self, producer: AIOKafkaProducer) -> None:
        if self._producer is producer:
            self._producer = None
        self._bury(_end_producer(producer))

    def _bury(self, ending: Coroutine[Any, Any, None]) -> None:
        """End something in the background; nobody waits for a broker that does not answer."""
        task = asyncio.ensure_future(ending)
        self._buried.add(task)
        task.add_done_callback(self._buried.discard)


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
                client.getmany(*wanted, timeout_ms=_ms(timeout), max_records=max_records), timeout + 1.0
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
            self._bury(_end_consumer(client))

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
                session_timeout_ms=_ms(settings.session_seconds),
                rebalance_timeout_ms=_ms(settings.rebalance_seconds),
                heartbeat_interval_ms=_ms(settings.heartbeat_seconds),
                fetch_max_wait_ms=250,
                retry_backoff_ms=100,
            )
            self._joining = client
            client.subscribe(self._topics, listener=self)
            try:
                # A join may have to wait for another member's session to run out.
                await asyncio.wait_for(client.start(), settings.start_seconds + settings.session_seconds)
            except BaseException as error:
                self._bury(_end_consumer(client))
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
            return await _bounds(client, [_theirs(partition) for partition in partitions])

    def _batches(self, found: Mapping[TopicPartition, Sequence[Any]]) -> dict[Partition, Batch]:
        batches = {}
        for theirs, records in found.items():
            partition = _ours(theirs)
            start = self._next.get(partition)
            if start is None or records[0].offset < start:
                self.rewind([partition])
                continue
            delivered = [_delivered(record) for record in records]
            end = delivered[-1].offset + 1
            self._next[partition] = end
            self._read[partition] = _Read(end, delivered[0].timestamp, delivered[-1].timestamp)
            batches[partition] = Batch(start, delivered, end)
        return batches

    def _drop_client(self) -> None:
        client, self._client = self._client, None
        self._next.clear()
        if client is not None:
            self._bury(_end_consumer(client))


@lru_cache(maxsize=10_000)
def partition_of(key: str, partitions: int) -> int:
    """Where any Kafka client with the default partitioner puts this key."""
    number: int = (murmur2(key.encode()) & 0x7FFFFFFF) % partitions
    return number


async def _send_all(producer: AIOKafkaProducer, records: Sequence[Record], counts: Mapping[str, int]) -> None:
    """Whole batches, partition by partition side by side: a future for each record costs half the throughput."""
    groups: dict[tuple[str, int], list[Record]] = {}
    for record in records:
        groups.setdefault((record.topic, partition_of(record.key, counts[record.topic])), []).append(record)
    sending = [_send_in_order(producer, topic, number, group) for (topic, number), group in groups.items()]
    for outcome in await asyncio.gather(*sending, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome


async def _send_in_order(producer: AIOKafkaProducer, topic: str, partition: int, records: Sequence[Record]) -> None:
    """The next batch leaves when the one before is acknowledged, so a failure leaves no hole."""
    batch = producer.create_batch()
    for record in records:
        if not _added(batch, record):
            await (await producer.send_batch(batch, topic, partition=partition))
            batch = producer.create_batch()
            if not _added(batch, record):
                raise MessageSizeTooLargeError(f"an event of {len(record.value)} bytes fits no batch")
    await (await producer.send_batch(batch, topic, partition=partition))


def _added(batch: Any, record: Record) -> bool:
    added = batch.append(key=record.key.encode(), value=record.value, timestamp=None, headers=list(record.headers))
    return added is not None


def _insist_on_reading(client: AIOKafkaConsumer) -> None:
    """Raises KafkaError: aiokafka tells nobody that the task which fetches records has ended."""
    if client._fetcher._fetch_task.done():
        raise KafkaError("the fetching of records has ended")


async def _bounds(client: AIOKafkaConsumer, theirs: Sequence[TopicPartition]) -> dict[Partition, Bounds]:
    oldest = await client.beginning_offsets(theirs)
    ends = await client.end_offsets(theirs)
    return {_ours(partition): Bounds(oldest[partition], ends[partition]) for partition in theirs}


async def _end_producer(producer: AIOKafkaProducer) -> None:
    """Without a flush: whatever it holds is published again by its successor."""
    producer._closed = True
    sender = producer._sender.sender_task
    if sender is not None:
        sender.cancel()
        await asyncio.wait([sender], timeout=1.0)
    with suppress(Exception):
        await asyncio.wait_for(producer.client.close(), 1.0)


async def _end_consumer(client: AIOKafkaConsumer) -> None:
    with suppress(Exception):
        await asyncio.wait_for(client.stop(), 2.0)
    coordinator = client._coordinator
    for task in (getattr(coordinator, "_coordination_task", None), getattr(coordinator, "_heartbeat_task", None)):
        if task is not None:
            task.cancel()
    with suppress(Exception):
        await asyncio.wait_for(client._client.close(), 1.0)


def _delivered(record: Any) -> Delivered:
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


def _ms(seconds: float) -> int:
    return int(seconds * 1000)


__all__ = ["KafkaLog", "KafkaSettings", "KafkaSubscription", "partition_of"]
