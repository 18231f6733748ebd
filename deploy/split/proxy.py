"""A streaming reverse proxy to one service's API: nothing is buffered, connections are pooled and bounded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

import httpx
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from shared.kernel.errors import Refusal, Unavailable
from shared.kit.problems import BodyTooSlow, problem_of
from shared.kit.routing import SLOWEST_BYTES_PER_SECOND

CONNECTIONS_PER_SERVICE = 100
IDLE_CONNECTION_SECONDS = 10  # below the backends' own keep-alive, so that none is used while it closes
CONNECT_SECONDS = 2
ANSWER_SECONDS = 75  # a long poll of the feed may wait a minute
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

    def __init__(self, backend: str, *, body_seconds: float) -> None:
        """`body_seconds`: as for a service; a sender that is too slow for it is given up here."""
        self._backend = httpx.URL(backend)
        self._body_seconds = body_seconds
        self._client: httpx.AsyncClient | None = None

    def open(self) -> None:
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS, pool=CONNECT_SECONDS),
            limits=httpx.Limits(
                max_connections=CONNECTIONS_PER_SERVICE,
                max_keepalive_connections=CONNECTIONS_PER_SERVICE,
                keepalive_expiry=IDLE_CONNECTION_SECONDS,
            ),
            trust_env=False,
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
            answer = await self._pass_on(request)
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

    async def _pass_on(self, request: Request) -> httpx.Response:
        assert self._client is not None, "opened in the lifespan"
        raw_path: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
        query: bytes = request.scope["query_string"]
        url = self._backend.copy_with(raw_path=raw_path + (b"?" + query if query else b""))
        headers = [(name, value) for name, value in request.headers.raw if name not in _NOT_FORWARDED]
        headers += _forwarded(request)
        has_body = "content-length" in request.headers or "transfer-encoding" in request.headers
        outgoing = self._client.build_request(
            request.method, url, headers=headers, content=_body(request, self._body_seconds) if has_body else None
        )
        return await self._client.send(outgoing, stream=True)


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
