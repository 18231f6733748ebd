"""One client's connection: uvicorn's, with an end to everything that a slow or endless sender could keep open."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from shared.kit.telemetry import SECURITY_HEADERS

HEADERS_WITHIN_SECONDS = 10.0
"""From the connection, or from the first byte of a further request, to the end of its headers."""
UNWANTED_BODY_SECONDS = 5.0
"""How long a sender may finish a body after the answer: cut at once, it would not read the answer."""
LARGEST_HEAD_BYTES = 65_536
CONNECTIONS_AT_ONCE = 2_000


class HouseConnection(HttpToolsProtocol):
    """Closes what says nothing in time; over the limit the longest idle connection makes room."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._ends: asyncio.TimerHandle | None = None
        self._in_body = False
        self._unused_bytes = 0
        self._quiet_since = self.loop.time()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS_AT_ONCE and not self._made_room():
            self._refuse(503, "TooBusy", "Too many connections; try again later.")
            return
        self._end_in(HEADERS_WITHIN_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_in(None)
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._quiet_since = self.loop.time()
        self._unused_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._unused_bytes > LARGEST_HEAD_BYTES:
            self._refuse(431, "HeadersTooLarge", "The headers of the request are too large.")
        elif self._is_idle and self._ends is None:
            self._end_in(HEADERS_WITHIN_SECONDS)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_body:  # Trailers are of no use here.
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._end_in(None)
        self._unused_bytes, self._in_body = 0, True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._unused_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._end_in(None)
        self._unused_bytes, self._in_body = 0, False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        queued = bool(self.pipeline)
        super().on_response_complete()
        if self._in_body and not queued and not self.transport.is_closing():
            self._end_in(UNWANTED_BODY_SECONDS)

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, "MalformedRequest", "This is not an HTTP request.")

    def answer_last(self, app: ASGIApp) -> None:
        """Have `app` answer from now on; the answer under way is the last of this connection."""
        self.app = app
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.keep_alive = False

    @property
    def _is_idle(self) -> bool:
        return not self._in_body and (self.cycle is None or self.cycle.response_complete)

    def _made_room(self) -> bool:
        idle = [each for each in self.connections if each is not self and isinstance(each, HouseConnection)]
        idle = [each for each in idle if each._is_idle and not each.transport.is_closing()]
        if not idle:
            return False
        min(idle, key=lambda each: each._quiet_since).transport.close()
        return True

    def _end_in(self, seconds: float | None) -> None:
        if self._ends is not None:
            self._ends.cancel()
        self._ends = None if seconds is None else self.loop.call_later(seconds, self.transport.close)

    def _refuse(self, status: int, code: str, detail: str) -> None:
        """Answer before there is a request that the application could answer, and close."""
        problem = {"type": f"urn:mainstay:problem:{code}", "title": detail, "status": status, "detail": detail}
        body = json.dumps({**problem, "code": code}).encode()
        headers = {
            "content-type": "application/problem+json",
            "content-length": str(len(body)),
            "connection": "close",
            **SECURITY_HEADERS,
            **({"retry-after": "2"} if status == 503 else {}),
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode()
        self.transport.write(STATUS_LINE[status] + lines + b"\r\n" + body)
        self.transport.close()
