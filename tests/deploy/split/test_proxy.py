"""The front's proxy: everything passes as it is, and an absent backend is a problem."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from deploy.serving import bound_socket, port_of
from deploy.split import proxy as proxies
from deploy.split.proxy import Proxy
from tests.infrastructure.process import free_port
from tests.infrastructure.waiting import eventually


async def echo(request: Request) -> Response:
    body = await request.body()
    seen = {
        "method": request.method,
        "path": request.scope["raw_path"].decode(),
        "query": request.url.query,
        "headers": dict(request.headers),
        "body": len(body),
    }
    return JSONResponse(seen, status_code=201, headers={"connection": "x-hop", "x-hop": "1", "x-kept": "1"})


async def endless(_request: Request) -> Response:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"first"
        await asyncio.Event().wait()

    return StreamingResponse(chunks())


async def slow(_request: Request) -> Response:
    await asyncio.Event().wait()
    return Response()


async def twice(_request: Request) -> Response:
    response = Response()
    response.raw_headers += [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]
    return response


@asynccontextmanager
async def serving(app: Starlette | Proxy) -> AsyncIterator[int]:
    with bound_socket("127.0.0.1", 0) as bound:
        config = uvicorn.Config(app, lifespan="off", log_config=None, timeout_graceful_shutdown=0, proxy_headers=False)
        server = uvicorn.Server(config)
        server.capture_signals = lambda: _nothing()  # type: ignore[method-assign,assignment,return-value]
        task = asyncio.create_task(server.serve(sockets=[bound]))

        async def started() -> bool:
            return server.started

        await eventually(started)
        yield port_of(bound)
        server.should_exit = True
        await task


class _nothing:
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


@asynccontextmanager
async def proxied(backend: str | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a proxy before the little backend above, or before `backend`."""
    methods = ["GET", "POST", "PUT", "DELETE"]
    app = Starlette(
        routes=[
            Route("/endless", endless),
            Route("/slow", slow),
            Route("/twice", twice),
            Route("/{rest:path}", echo, methods=methods),
        ]
    )
    async with serving(app) as port, before(backend or f"http://127.0.0.1:{port}") as client:
        yield client


@asynccontextmanager
async def before(*backends: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a proxy before these."""
    proxy = Proxy(backends, body_seconds=30)
    proxy.open()
    async with serving(proxy) as front, httpx.AsyncClient(base_url=f"http://127.0.0.1:{front}") as client:
        yield client
    await proxy.close()


async def test_a_request_passes_as_it_is() -> None:
    async with proxied() as client:
        content = b"x" * 3_000_000
        answer = await client.put(
            "/billing/v1/a%2Fb/%E4%B8%AD?q=1&q=%20", content=content, headers={"authorization": "Bearer t", "te": "x"}
        )
        seen = answer.json()
        assert answer.status_code == 201
        assert (seen["method"], seen["path"], seen["query"]) == ("PUT", "/billing/v1/a%2Fb/%E4%B8%AD", "q=1&q=%20")
        assert seen["body"] == len(content)
        assert seen["headers"]["authorization"] == "Bearer t"
        assert seen["headers"]["x-forwarded-for"] == "127.0.0.1"
        assert "te" not in seen["headers"]


async def test_a_caller_cannot_say_for_whom_it_was_forwarded() -> None:
    async with proxied() as client:
        seen = (await client.get("/x", headers={"x-forwarded-for": "8.8.8.8"})).json()
        assert seen["headers"]["x-forwarded-for"] == "127.0.0.1"


async def test_headers_for_one_hop_end_there() -> None:
    async with proxied() as client:
        headers = (await client.post("/x")).headers
        assert headers["x-kept"] == "1"
        assert "x-hop" not in headers


async def test_a_header_that_comes_twice_stays_twice() -> None:
    async with proxied() as client:
        assert (await client.get("/twice")).headers.get_list("set-cookie") == ["a=1", "b=2"]


async def test_an_answer_is_passed_on_as_it_comes() -> None:
    async with proxied() as client, client.stream("GET", "/endless") as answer:
        assert await anext(answer.aiter_raw()) == b"first"


async def test_a_backend_that_is_away_is_a_problem_to_try_again() -> None:
    async with proxied(f"http://127.0.0.1:{free_port()}") as client:
        answer = await client.get("/billing/v1/invoices")
        assert (answer.status_code, answer.json()["code"]) == (503, "BackendAway")
        assert answer.headers["retry-after"]


async def test_a_backend_that_breaks_off_is_a_problem() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, proxied(f"http://127.0.0.1:{port}") as client:
        answer = await client.get("/billing/v1/invoices")
        assert (answer.status_code, answer.json()["code"]) == (502, "BackendFailed")


async def test_a_backend_that_never_answers_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxies, "ANSWER_SECONDS", 0.2)
    async with proxied() as client:
        answer = await client.get("/slow")
        assert (answer.status_code, answer.json()["code"]) == (504, "BackendSlow")


class Replica:
    """Speaks just enough HTTP to hang up in the middle; `requests` are those that it has read."""

    def __init__(self, *, hangs_up: int) -> None:
        """`hangs_up`: on how many requests before it answers."""
        self._hangs_up = hangs_up
        self.requests: list[bytes] = []

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        async with server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next((line[15:] for line in head.splitlines() if line.startswith(b"content-length:")), b"0")
                self.requests.append(head.split(b" ")[0] + b" " + await reader.readexactly(int(length)))
                if len(self.requests) <= self._hangs_up:
                    break
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        writer.close()


KEY = {"idempotency-key": "one"}


@pytest.mark.parametrize(
    ("method", "headers"),
    [("GET", {}), ("PUT", {}), ("DELETE", {}), ("POST", KEY)],
    ids=["get", "put", "delete", "post with a key"],
)
@pytest.mark.parametrize("replicas", [1, 2])
async def test_what_may_be_repeated_is_sent_again_when_a_replica_hangs_up(
    method: str, headers: dict[str, str], replicas: int
) -> None:
    several = [Replica(hangs_up=1) for _ in range(replicas)]
    async with AsyncExitStack() as stack:
        urls = [await stack.enter_async_context(one.listening()) for one in several]
        client = await stack.enter_async_context(before(*urls))
        if replicas == 2:
            several[1]._hangs_up = 0
            several[0]._hangs_up = 99
        bodies = [str(number).encode() * 9 for number in range(4)]
        answers = [await client.request(method, "/x", headers=headers, content=body) for body in bodies]
        assert {answer.status_code for answer in answers} == {200}
        answered = several[-1].requests[1 if replicas == 1 else 0 :]
        assert answered == [method.encode() + b" " + body for body in bodies]


@pytest.mark.parametrize(
    ("method", "headers", "size"),
    [("POST", {}, 9), ("PUT", {"if-match": '"3"'}, 9), ("PATCH", {}, 9), ("PUT", {}, proxies.LARGEST_KEPT_BODY + 1)],
    ids=["post without a key", "put of a version", "patch", "a large body"],
)
async def test_what_may_not_be_repeated_is_sent_once(method: str, headers: dict[str, str], size: int) -> None:
    replica = Replica(hangs_up=99)
    async with replica.listening() as url, before(url) as client:
        answer = await client.request(method, "/x", headers=headers, content=b"x" * size)
        assert (answer.status_code, answer.json()["code"]) == (502, "BackendFailed")
        assert len(replica.requests) == 1


async def test_replicas_take_turns_and_one_that_is_away_is_asked_last() -> None:
    several = [Replica(hangs_up=0) for _ in range(2)]
    async with AsyncExitStack() as stack:
        urls = [await stack.enter_async_context(one.listening()) for one in several]
        client = await stack.enter_async_context(before(*urls, f"http://127.0.0.1:{free_port()}"))
        for _ in range(6):
            assert (await client.post("/x", content=b"without a key, but not sent yet")).status_code == 200
    assert all(len(replica.requests) >= 2 for replica in several)
