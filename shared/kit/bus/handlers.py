"""Which function of a service hears which fact."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeVar

from shared.events.envelope import Envelope, Fact
from shared.events.registry import BY_TYPE, fact_of
from shared.kit.bus.outbox import Caused
from shared.kit.db import Transaction
from shared.kit.tracing import Tracing

F = TypeVar("F", bound=Fact)
Handler = Callable[[Transaction, F, Envelope], Awaitable[None]]
AnyHandler = Callable[[Transaction, Envelope], Awaitable[None]]


class Handlers:
    """The handler table of one consumer; handlers of one event run in the order of their declaration."""

    def __init__(self) -> None:
        self._by_type: dict[str, list[Callable[[Transaction, Any, Envelope], Awaitable[None]]]] = {}
        self._by_topic: dict[str, list[AnyHandler]] = {}
        self._topics: set[str] = set()

    @property
    def topics(self) -> list[str]:
        """Every topic that some handler needs."""
        return sorted(self._topics)

    def on(self, fact: type[F]) -> Callable[[Handler[F]], Handler[F]]:
        """`async def f(tx, fact, envelope)` hears this fact."""

        def declare(handler: Handler[F]) -> Handler[F]:
            self._by_type.setdefault(fact.type_name(), []).append(handler)
            self._topics.add(fact.topic())
            return handler

        return declare

    def on_any(self, topics: Iterable[str]) -> Callable[[AnyHandler], AnyHandler]:
        """`async def f(tx, envelope)` hears every known fact on these topics."""
        named = sorted(set(topics))

        def declare(handler: AnyHandler) -> AnyHandler:
            for topic in named:
                self._by_topic.setdefault(topic, []).append(handler)
                self._topics.add(topic)
            return handler

        return declare

    def handlers_of(self, envelope: Envelope) -> list[AnyHandler]:
        """Who hears this event; raises UnreadableEvent when somebody would and the data does not fit.

        An unknown major of a type that is heard is unreadable too; of a type nobody hears, it is nobody's.
        """
        kind = BY_TYPE.get(envelope.type)
        if kind is None:
            if self._hears_another_major(envelope):
                fact_of(envelope)
            return []
        by_type = self._by_type.get(envelope.type, [])
        by_topic = self._by_topic.get(kind.topic(), [])
        if not by_type and not by_topic:
            return []
        fact = fact_of(envelope)
        return [_bound(handler, fact) for handler in by_type] + by_topic

    def _hears_another_major(self, envelope: Envelope) -> bool:
        family, _, _major = envelope.type.rpartition(".v")
        heard = {*self._by_type, *(name for name, fact in BY_TYPE.items() if fact.topic() in self._by_topic)}
        return any(name.rpartition(".v")[0] == family for name in heard)


async def run_handlers(tx: Transaction, envelope: Envelope, handlers: Sequence[AnyHandler]) -> None:
    """Run them as caused by this event; raises whatever they raise."""
    if not handlers:
        return
    tx.actor = f"event:{envelope.type}"
    tx.correlation_id = envelope.correlationid or str(envelope.id)
    tx.causation_id = str(envelope.id)
    tx.traceparent = envelope.traceparent
    before = len(tx.facts)
    if tx.database.tracing is None:
        for handler in handlers:
            await handler(tx, envelope)
    else:
        await _run_traced(tx.database.tracing, tx, envelope, handlers)
    bind_causes(tx, before)


async def _run_traced(tracing: Tracing, tx: Transaction, envelope: Envelope, handlers: Sequence[AnyHandler]) -> None:
    """What the handlers announce belongs to the span of their work."""
    attributes = {"messaging.system": "mainstay", "messaging.operation.type": "process", "event.type": envelope.type}
    with tracing.span(f"process {envelope.type}", "CONSUMER", attributes, parent=envelope.traceparent):
        tx.traceparent = tracing.traceparent()
        for handler in handlers:
            await handler(tx, envelope)


def bind_causes(tx: Transaction, before: int) -> None:
    """The transaction may go on with other events or timers, so facts number `before` and on keep the present cause."""
    tx.facts[before:] = [Caused(fact, tx.correlation_id, tx.causation_id, tx.traceparent) for fact in tx.facts[before:]]


def is_known(envelope: Envelope) -> bool:
    """Whether the published language has this type."""
    return envelope.type in BY_TYPE


def _bound(handler: Callable[[Transaction, Any, Envelope], Awaitable[None]], fact: Fact | None) -> AnyHandler:
    async def handle(tx: Transaction, envelope: Envelope) -> None:
        await handler(tx, fact, envelope)

    return handle
