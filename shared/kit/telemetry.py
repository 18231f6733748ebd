"""What operators see: structured logs with request and correlation ids, Prometheus metrics, optional traces."""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import structlog
from prometheus_client import Counter, Histogram
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.kernel.ids import new_id
from shared.kit.settings import CommonSettings

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

_SAFE_ID = re.compile(r"[A-Za-z0-9._-]{1,80}")
_TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_SECRET_NAMES = re.compile(r"password|secret|token|authorization|credential|api_?key", re.IGNORECASE)
SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}

_SECURITY_PAIRS = [(name.encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]

log = structlog.get_logger("http")
REQUESTS = Counter("mainstay_http_requests_total", "HTTP requests", ["service", "method", "route", "status"])
SECONDS = Histogram(
    "mainstay_http_request_seconds",
    "Time to answer",
    ["service", "method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)


def configure_logging(common: CommonSettings) -> None:
    """JSON lines on stderr (or colours for people); values under secret-looking names are masked."""
    renderer: Any = (
        structlog.processors.JSONRenderer() if common.log_format == "json" else structlog.dev.ConsoleRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _mask_secrets,
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(common.log_level.upper()),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")


def _mask_secrets(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    for name in event:
        event[name] = _masked(name, event[name])
    return event


def _masked(name: str, value: Any) -> Any:
    if _SECRET_NAMES.search(name):
        return "***"
    if isinstance(value, dict):
        return {key: _masked(str(key), inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_masked("", inner) for inner in value]
    return value


def edge_headers(state: Mapping[str, Any]) -> dict[str, str]:
    """What every answer carries; `state` is the scope's, which holds the request's ids."""
    return {
        "x-request-id": str(state.get("request_id", "")),
        "x-correlation-id": str(state.get("correlation_id", "")),
        **SECURITY_HEADERS,
    }


class SecurityHeaders:
    """Plain ASGI middleware: what every answer of an installation carries, also where no service answers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                there = {name for name, _value in message["headers"]}
                message["headers"] = [*message["headers"], *(pair for pair in _SECURITY_PAIRS if pair[0] not in there)]
            await send(message)

        await self._app(scope, receive, answer if scope["type"] == "http" else send)


class Telemetry:
    """Plain ASGI middleware: ids in, security headers out, one log line and two metrics per request."""

    def __init__(self, app: ASGIApp, *, service: str, tracer: Tracer | None = None) -> None:
        self._app = app
        self._service = service
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        incoming = {name: value for name, value in scope["headers"] if name in _READ_HEADERS}
        request_id = str(new_id())
        correlation_id = _text(incoming.get(b"x-correlation-id"), _SAFE_ID) or request_id
        traceparent = _text(incoming.get(b"traceparent"), _TRACEPARENT)
        state = scope.setdefault("state", {})
        state.update(request_id=request_id, correlation_id=correlation_id, traceparent=traceparent)
        started = time.perf_counter()
        status = 500

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in edge_headers(state).items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            if self._tracer is None:
                await self._app(scope, receive, answer)
            else:
                await self._traced(scope, receive, answer, state)
        finally:
            seconds = time.perf_counter() - started
            route = _route_of(scope)
            REQUESTS.labels(self._service, scope["method"], route, status).inc()
            SECONDS.labels(self._service, scope["method"], route).observe(seconds)
            if not route.startswith(_QUIET):
                log.info(
                    "request",
                    service=self._service,
                    method=scope["method"],
                    route=route,
                    status=status,
                    ms=round(seconds * 1000, 1),
                    request_id=request_id,
                    correlation_id=correlation_id,
                )

    async def _traced(self, scope: Scope, receive: Receive, answer: Send, state: dict[str, Any]) -> None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        propagator = TraceContextTextMapPropagator()
        parent = propagator.extract({"traceparent": state["traceparent"]} if state["traceparent"] else {})
        assert self._tracer is not None
        with self._tracer.start_as_current_span(f"{scope['method']} {self._service}", context=parent) as span:
            carrier: dict[str, str] = {}
            propagator.inject(carrier)
            state["traceparent"] = carrier.get("traceparent", state["traceparent"])
            await self._app(scope, receive, answer)
            span.set_attribute("http.route", getattr(scope.get("route"), "path", "unmatched"))


_READ_HEADERS = {b"x-correlation-id", b"traceparent"}
_QUIET = ("/livez", "/readyz", "/metrics")


def _route_of(scope: Scope) -> str:
    """The route's template, so that no id gets into a log or a metric; Starlette names none for the plain routes."""
    plain: str = scope["path"].removeprefix(scope.get("root_path", ""))
    return getattr(scope.get("route"), "path", plain if plain in _QUIET else "unmatched")


def _text(value: bytes | None, pattern: re.Pattern[str]) -> str | None:
    text = value.decode("latin-1") if value else ""
    return text if pattern.fullmatch(text) else None


def tracer_for(service: str, common: CommonSettings) -> Tracer | None:
    """A tracer that exports to the configured collector, or None; imported only when configured."""
    if common.otlp_endpoint is None:
        return None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": f"mainstay-{service}"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{common.otlp_endpoint}/v1/traces")))
    return provider.get_tracer("mainstay")
