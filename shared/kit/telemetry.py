"""What operators see: structured logs with request and correlation ids, Prometheus metrics, optional traces."""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, TextIO

import structlog
from prometheus_client import Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.kernel.ids import new_id
from shared.kit import tracebacks
from shared.kit.settings import CommonSettings
from shared.kit.tracing import Tracing, current_trace, trace_in

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
    ["service", "method", "route", "status_class"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)


_Known = tuple[Counter, Histogram, str | None]
_write_request: Callable[[str], Any] | None = None
"""Takes the line of a request past structlog's processors, which cost as much as the rest of a plain request."""


def configure_logging(common: CommonSettings, to: TextIO = sys.stderr) -> None:
    """JSON lines on stderr (or colours for people); values under secret-looking names are masked."""
    global _write_request
    plain = common.log_format == "json" and common.log_level in {"debug", "info"}
    _write_request = structlog.PrintLogger(to).msg if plain else None
    renderer: Any = (
        structlog.processors.JSONRenderer() if common.log_format == "json" else structlog.dev.ConsoleRenderer()
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _add_trace,
            _mask_secrets,
            structlog.processors.ExceptionRenderer(tracebacks.format_exc_info),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(common.log_level.upper()),
        logger_factory=structlog.PrintLoggerFactory(to),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(to)
    handler.setFormatter(tracebacks.Formatter("%(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


def _add_trace(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    if trace := current_trace():
        event.setdefault("trace_id", trace)
    return event


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


def add_headers(message: Message, pairs: Iterable[tuple[bytes, bytes]]) -> None:
    """Add to a response's start what it does not have yet."""
    there = {name for name, _value in message["headers"]}
    message["headers"] = [*message["headers"], *(pair for pair in pairs if pair[0] not in there)]


class SecurityHeaders:
    """Plain ASGI middleware: what every answer of an installation carries, also where no service answers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                add_headers(message, _SECURITY_PAIRS)
            await send(message)

        await self._app(scope, receive, answer if scope["type"] == "http" else send)


class Telemetry:
    """Plain ASGI middleware: ids in, security headers out, one log line and two metrics per request."""

    def __init__(self, app: ASGIApp, *, service: str, tracing: Tracing | None = None) -> None:
        self._app = app
        self._service = service
        self._tracing = tracing
        self._known: dict[tuple[str, str, int], _Known] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        correlation_id = traceparent = None
        for name, value in scope["headers"]:
            if name == b"x-correlation-id":
                correlation_id = _text(value, _SAFE_ID)
            elif name == b"traceparent":
                traceparent = _text(value, _TRACEPARENT)
        request_id = str(new_id())
        state = scope.setdefault("state", {})
        state.update(request_id=request_id, correlation_id=correlation_id or request_id, traceparent=traceparent)
        started = time.perf_counter()
        status = 500

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                ids = (b"x-request-id", request_id.encode()), (b"x-correlation-id", state["correlation_id"].encode())
                add_headers(message, (*ids, *_SECURITY_PAIRS))
            await send(message)

        try:
            if self._tracing is None:
                await self._app(scope, receive, answer)
            else:
                await self._traced(self._tracing, scope, receive, answer)
        finally:
            self._tell(scope, status, time.perf_counter() - started)

    def _tell(self, scope: Scope, status: int, seconds: float) -> None:
        known = self._known.get((scope["method"], _route_of(scope), status))
        count, histogram, line = known or self._learn(scope["method"], _route_of(scope), status)
        count.inc()
        histogram.observe(seconds)
        if line is None:
            return
        state, ms = scope["state"], round(seconds * 1000, 1)
        trace = trace_in(state["traceparent"]) if state["traceparent"] else None
        if _write_request is not None:
            told = f'"trace_id": "{trace}", ' if trace else ""
            _write_request(
                f'{{{line}, "ms": {ms}, {told}"request_id": "{state["request_id"]}", '
                f'"correlation_id": "{state["correlation_id"]}", "event": "request", "level": "info", '
                f'"timestamp": "{datetime.now(UTC).isoformat()[:-6]}Z"}}'
            )
        else:
            ids = {name: state[name] for name in ("request_id", "correlation_id")}
            ids |= {"trace_id": trace} if trace else {}
            log.info("request", **json.loads(f"{{{line}}}"), ms=ms, **ids)

    def _learn(self, method: str, route: str, status: int) -> _Known:
        """What every answer of this kind has in common; looking labels up anew would cost more than the rest."""
        line = json.dumps({"service": self._service, "method": method, "route": route, "status": status})
        known = (
            REQUESTS.labels(self._service, method, route, status),
            SECONDS.labels(self._service, method, route, f"{status // 100}xx"),
            None if route.startswith(_QUIET) else line[1:-1],
        )
        self._known[method, route, status] = known
        return known

    async def _traced(self, tracing: Tracing, scope: Scope, receive: Receive, answer: Send) -> None:
        method, state = scope["method"], scope["state"]
        attributes = {"http.request.method": method}
        with tracing.span(f"{method} {self._service}", "SERVER", attributes, parent=state["traceparent"]) as span:
            state["traceparent"] = tracing.traceparent() or state["traceparent"]

            async def noted(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                    if message["status"] >= 500:
                        span.set_attribute("error.type", str(message["status"]))
                await answer(message)

            await self._app(scope, receive, noted)
            route = _route_of(scope)
            span.update_name(f"{method} {scope.get('root_path', '')}{route}")
            span.set_attribute("http.route", route)


_QUIET = ("/livez", "/readyz", "/metrics")


def _route_of(scope: Scope) -> str:
    """The route's template, so that no id gets into a log or a metric; Starlette names none for the plain routes."""
    plain: str = scope["path"].removeprefix(scope.get("root_path", ""))
    return getattr(scope.get("route"), "path", plain if plain in _QUIET else "unmatched")


def _text(value: bytes, pattern: re.Pattern[str]) -> str | None:
    text = value.decode("latin-1")
    return text if pattern.fullmatch(text) else None
