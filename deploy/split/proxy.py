"""A streaming reverse proxy to the replicas of one service's API; connections are pooled and bounded.

A replica that stops or dies is nobody's failed request: what may be repeated is sent again, to another one first.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence

import httpx
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from shared.kernel.errors import Refusal, Unavailable
from shared.kit.http_transport import direct_client
from shared.kit.problems import BodyTooSlow, problem_of
from shared.kit.routing import SLOWEST_BYTES_PER_SECOND

CONNECTIONS_PER_SERVICE = 100
IDLE_CONNECTION_SECONDS = 10  # below the backends' own keep-alive, so that none is used while it closes
CONNECT_SECONDS = 2
ANSWER_SECONDS = 75  # a long poll of the feed may wait a minute
REST_SECONDS = 2
"""A replica that could not be reached is asked last for so long."""
LARGEST_KEPT_BODY = 65_536
"""Bytes; of a larger body too little is kept for sending it again."""
REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization te trailer transfer-encoding upgrade".split()
)
_NOT_FORWARDED = HOP_BY_HOP | {b"host", b"forwarded", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"}

RawHeaders = list[tuple[bytes, bytes]]


class BackendAway(Unavailable):
    """The service behind this path does not answer at the moment."""


class BackendFailed(Refusal):
    """The service behind this path broke off its answer."""


class BackendSlow(Refusal):
    """The service behind this path did not answer in time."""


class Proxy:
    """An ASGI application that passes requests on as they are."""

    def __init__(self, backends: Sequence[str], *, body_seconds: float) -> None:
        """`backends`: one address for each replica; `body_seconds`: as for a service, a slower sender is given up."""
        self._backends = [httpx.URL(backend) for backend in backends]
        self._rests_until = dict.fromkeys(self._backends, 0.0)
        self._turn = 0
        self._body_seconds = body_seconds
        self._client: httpx.AsyncClient | None = None

    def open(self) -> None:
        self._client = direct_client(
            timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS, pool=CONNECT_SECONDS),
            limits=httpx.Limits(
                max_connections=CONNECTIONS_PER_SERVICE,
                max_keepalive_connections=CONNECTIONS_PER_SERVICE,
                keepalive_expiry=IDLE_CONNECTION_SECONDS,
            ),
        )

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        answer = await self._answer(Request(scope, receive))
        await answer(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        try:
            answer = await self._first_answer(request)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout):
            return problem_of(BackendAway(), request)
        except httpx.TimeoutException:
            return problem_of(BackendSlow(), request, status=504)
        except httpx.TransportError:
            return problem_of(BackendFailed(), request, status=502)
        except ClientDisconnect:
            return Response(status_code=499)
        except BodyTooSlow as slow:
            # The service says so too, but is not heard while the body is still being sent.
            return problem_of(slow, request)
        response = StreamingResponse(
            answer.aiter_raw(), status_code=answer.status_code, background=BackgroundTask(answer.aclose)
        )
        response.raw_headers = _end_to_end(answer.headers.raw)
        return response

    async def _first_answer(self, request: Request) -> httpx.Response:
        """Of the replica whose turn it is, else of another; raises what went wrong with the last."""
        body = _Body(request, self._body_seconds) if _has_body(request) else None
        *others, last = self._in_turn()
        for backend in others:
            try:
                return await self._pass_on(request, backend, body)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                self._rests_until[backend] = asyncio.get_running_loop().time() + REST_SECONDS
            except httpx.TimeoutException:
                raise
            except httpx.TransportError:
                if not (_is_repeatable(request) and (body is None or body.is_whole)):
                    raise
        return await self._pass_on(request, last, body)

    def _in_turn(self) -> list[httpx.URL]:
        """At least two: a single replica may answer on a new connection where it had closed the old one."""
        self._turn += 1
        begin, now = self._turn % len(self._backends), asyncio.get_running_loop().time()
        order = self._backends[begin:] + self._backends[:begin]
        order.sort(key=lambda backend: self._rests_until[backend] > now)
        return order if len(order) > 1 else order * 2

    async def _pass_on(self, request: Request, backend: httpx.URL, body: _Body | None) -> httpx.Response:
        assert self._client is not None, "opened in the lifespan"
        raw_path: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
        query: bytes = request.scope["query_string"]
        url = backend.copy_with(raw_path=raw_path + (b"?" + query if query else b""))
        headers = [(name, value) for name, value in request.headers.raw if name not in _NOT_FORWARDED]
        headers += _forwarded(request)
        content = body.from_the_beginning() if body is not None else None
        outgoing = self._client.build_request(request.method, url, headers=headers, content=content)
        return await self._client.send(outgoing, stream=True)


class _Body:
    """What a client sends, passed on as it comes; kept as long as it is small."""

    def __init__(self, request: Request, patience_seconds: float) -> None:
        self._coming = _body(request, patience_seconds)
        self._kept: list[bytes] = []
        self._size = 0

    @property
    def is_whole(self) -> bool:
        """Whether it can be sent from the beginning once more."""
        return self._size <= LARGEST_KEPT_BODY

    async def from_the_beginning(self) -> AsyncIterator[bytes]:
        for chunk in self._kept:
            yield chunk
        async for chunk in self._coming:
            self._size += len(chunk)
            if self.is_whole:
                self._kept.append(chunk)
            else:
                self._kept.clear()
            yield chunk


def _has_body(request: Request) -> bool:
    return "content-length" in request.headers or "transfer-encoding" in request.headers


def _is_repeatable(request: Request) -> bool:
    """Whether a second time changes nothing: by its method, or as the service knows its key again."""
    if request.method == "POST":
        return "idempotency-key" in request.headers
    return request.method in REPEATABLE and "if-match" not in request.headers


async def _body(request: Request, patience_seconds: float) -> AsyncIterator[bytes]:
    """Raises BodyTooSlow, ClientDisconnect."""
    by, received, stream = asyncio.get_running_loop().time() + patience_seconds, 0, aiter(request.stream())
    while True:
        try:
            async with asyncio.timeout_at(by + received / SLOWEST_BYTES_PER_SECOND):
                chunk = await anext(stream)
        except TimeoutError:
            raise BodyTooSlow() from None
        except StopAsyncIteration:
            return
        received += len(chunk)
        if chunk:
            yield chunk


def _forwarded(request: Request) -> RawHeaders:
    client = request.client.host if request.client else "unknown"
    return [
        (b"x-forwarded-for", client.encode()),
        (b"x-forwarded-proto", request.url.scheme.encode()),
        (b"x-forwarded-host", request.headers.get("host", "").encode("latin-1")),
    ]


def _end_to_end(headers: Iterable[tuple[bytes, bytes]]) -> RawHeaders:
    found = [(name.lower(), value) for name, value in headers]
    named = {item.strip().lower() for name, value in found if name == b"connection" for item in value.split(b",")}
    return [(name, value) for name, value in found if name not in HOP_BY_HOP and name not in named]
