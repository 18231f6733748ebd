"""The event log on Kafka, with aiokafka kept on a short lead: own timeouts, own offsets, own partitioner."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from aiokafka.partitioner import murmur2

from shared.events.registry import partitions_of
from shared.kit.bus import kafka_topics
from shared.kit.bus.kafka_client import KafkaSettings, administering, milliseconds, trouble
from shared.kit.bus.kafka_subscription import KafkaSubscription, bounds_of, end_consumer
from shared.kit.bus.log import READY_SECONDS, Bounds, LoadOffsets, LogAway, Partition, Record, TopicState

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
        partitions = [Partition(topic, number) for topic in topics for number in range(counts[topic])]
        client = AIOKafkaConsumer(**self.settings.connection(), enable_auto_commit=False)
        try:
            async with asyncio.timeout(2 * self.settings.start_seconds):
                await client.start()
                return await bounds_of(client, partitions)
        except (TimeoutError, KafkaError, OSError) as error:
            raise await trouble(self.settings, "did not show its offsets", error) from error
        finally:
            self._bury(end_consumer(client))

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
                    request_timeout_ms=milliseconds(LONGEST_REQUEST_SECONDS),
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


async def _end_producer(producer: AIOKafkaProducer) -> None:
    """Without a flush: whatever it holds is published again by its successor."""
    producer._closed = True
    sender = producer._sender.sender_task
    if sender is not None:
        sender.cancel()
        await asyncio.wait([sender], timeout=1.0)
    with suppress(Exception):
        await asyncio.wait_for(producer.client.close(), 1.0)
