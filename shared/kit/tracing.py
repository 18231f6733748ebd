"""One trace from a request through its events to what other services do because of them; nothing unless asked for.

Names and attributes say kinds, never which: no id of a person or an aggregate, no address, no text that was sent.
"""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from shared.kernel.ids import new_id
from shared.kit.settings import CommonSettings
from shared.kit.version import VERSION

if TYPE_CHECKING:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

SPANS_HELD = 2_048
"""While the collector is away, newer spans are dropped."""
EXPORT_SECONDS = 5.0
FLUSH_SECONDS = 2.0

Kind = Literal["SERVER", "CLIENT", "PRODUCER", "CONSUMER", "INTERNAL"]
Attributes = Mapping[str, str | int]


class Tracing:
    """The spans of one service in this process."""

    def __init__(self, provider: TracerProvider) -> None:
        # Loaded here, for who traces nothing loads nothing.
        from opentelemetry import trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._trace = trace
        self._provider = provider
        self._tracer = provider.get_tracer("mainstay", VERSION)
        self._propagator = TraceContextTextMapPropagator()

    def span(
        self, name: str, kind: Kind, attributes: Attributes, *, parent: str | None
    ) -> AbstractContextManager[Span]:
        """A span under the `traceparent` given, or without one the first of a trace; `step` finds it meanwhile."""
        return self._spanning(name, kind, attributes, self._context_of(parent))

    def inside(self, name: str, kind: Kind, attributes: Attributes) -> AbstractContextManager[Span]:
        """A span inside the one that is current."""
        return self._spanning(name, kind, attributes, None)

    def tell(
        self, name: str, kind: Kind, attributes: Attributes, *, parent: str, began: datetime, ended: datetime
    ) -> None:
        """A span that is over already."""
        span = self._tracer.start_span(
            name,
            context=self._context_of(parent),
            kind=self._trace.SpanKind[kind],
            attributes=attributes,
            start_time=_nanoseconds(began),
        )
        span.end(_nanoseconds(ended))

    def traceparent(self) -> str | None:
        """Of the span that is current, to be sent along."""
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier)
        return carrier.get("traceparent")

    async def close(self) -> None:
        """Send what is left, for FLUSH_SECONDS at most: a collector that is away holds nobody."""
        ending = threading.Thread(target=self._provider.shutdown, daemon=True)
        ending.start()
        await asyncio.to_thread(ending.join, FLUSH_SECONDS)

    @contextmanager
    def _spanning(self, name: str, kind: Kind, attributes: Attributes, context: Any) -> Iterator[Span]:
        with self._tracer.start_as_current_span(
            name,
            context=context,
            kind=self._trace.SpanKind[kind],
            attributes=attributes,
            # An exception's text may hold anything; its class is enough.
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            before = _current.set(self)
            try:
                yield span
            except Exception as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(self._trace.Status(self._trace.StatusCode.ERROR))
                raise
            finally:
                _current.reset(before)

    def _context_of(self, traceparent: str | None) -> Any:
        empty = self._trace.set_span_in_context(self._trace.INVALID_SPAN)
        return self._propagator.extract({"traceparent": traceparent}, empty) if traceparent else empty


_current: ContextVar[Tracing | None] = ContextVar("tracing", default=None)
_NOTHING: AbstractContextManager[Any] = nullcontext()


def step(name: str, kind: Kind, attributes: Attributes) -> AbstractContextManager[Any]:
    """A span inside the one that is current; where there is none, nothing."""
    tracing = _current.get()
    return _NOTHING if tracing is None else tracing.inside(name, kind, attributes)


def current_trace() -> str | None:
    """The id of the trace that is current, for a log line."""
    tracing = _current.get()
    traceparent = tracing.traceparent() if tracing is not None else None
    return trace_in(traceparent) if traceparent else None


def trace_in(traceparent: str) -> str:
    """`00-<trace>-<span>-<flags>`"""
    return traceparent[3:35]


def tracing_for(service: str, common: CommonSettings) -> Tracing | None:
    """Spans for the configured collector (OTLP over HTTP), or None.

    OpenTelemetry's own variables count as well, such as OTEL_TRACES_SAMPLER and OTEL_EXPORTER_OTLP_HEADERS.
    """
    if common.otlp_endpoint is None:
        return None
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = Resource.create(
        {
            "service.name": f"mainstay-{service}",
            "service.namespace": "mainstay",
            "service.version": VERSION,
            "service.instance.id": f"{platform.node()}-{os.getpid()}-{new_id().hex[-8:]}",
        }
    )
    exporter = exporter_to(common.otlp_endpoint, seconds=EXPORT_SECONDS)
    # While the collector is away a line for each batch is enough; by itself it has one for each try.
    logging.getLogger(type(exporter).__module__).setLevel(logging.ERROR)
    # Its own way out at the end of the process would wait for a collector that is away.
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=SPANS_HELD))
    return Tracing(provider)


def exporter_to(endpoint: str, *, seconds: float) -> OTLPSpanExporter:
    """Tells a collector of spans, within so many seconds for a batch."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=seconds)


def _nanoseconds(instant: datetime) -> int:
    return int(instant.timestamp() * 1_000_000_000)
