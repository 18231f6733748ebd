"""A server that was told to stop: no balancer sends to it any more, and who does is still answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import deploy.serving
from deploy.serving import HouseServer, bound_socket, port_of, serve
from tests.infrastructure.waiting import eventually


@dataclass
class Served:
    """A little application in a real server of the house."""

    client: httpx.AsyncClient
    stop: asyncio.Event
    serving: asyncio.Task[bool]
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def is_told(self) -> bool:
        return (await self.client.get("/readyz")).status_code == 503


@asynccontextmanager
async def served(*, drain_seconds: float) -> AsyncIterator[Served]:
    async def ok(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def slow(_request: Request) -> Response:
        found.reached.set()
        await found.go_on.wait()
        return JSONResponse({"status": "ok"})

    paths = ["/readyz", "/billing/readyz", "/quick"]
    app = Starlette(routes=[Route("/slow", slow), *(Route(path, ok) for path in paths)])
    stop, started = asyncio.Event(), asyncio.Event()
    servers: list[HouseServer] = []

    class Kept(HouseServer):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            servers.append(self)

    with bound_socket("127.0.0.1", 0) as bound, patch.object(deploy.serving, "HouseServer", Kept):
        serving = asyncio.create_task(
            serve(app, bound, stop=stop, trusted_proxies=None, drain_seconds=drain_seconds, on_ready=started.set)
        )
        await started.wait()
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port_of(bound)}", trust_env=False) as client:
            found = Served(client, stop, serving)
            yield found
        # As a second signal does.
        servers[0].should_exit = True
        stop.set()
        await serving


@pytest.mark.parametrize("path", ["/readyz", "/billing/readyz"])
async def test_while_it_drains_it_is_not_ready_but_answers_on_old_and_new_connections(path: str) -> None:
    async with served(drain_seconds=60) as server:
        before = await server.client.get("/quick")
        assert "connection" not in before.headers
        server.stop.set()
        await eventually(server.is_told, what="the stop")
        assert (await server.client.get(path)).json() == {"status": "stopping"}
        for _ in range(2):
            answer = await server.client.get("/quick")
            assert (answer.status_code, answer.headers["connection"]) == (200, "close")
        assert not server.serving.done()


@pytest.mark.parametrize("drain_seconds", [0.0, 60.0])
async def test_a_request_under_way_is_answered_and_is_the_last_of_its_connection(drain_seconds: float) -> None:
    async with served(drain_seconds=drain_seconds) as server:
        asking = asyncio.create_task(server.client.get("/slow"))
        await server.reached.wait()
        server.stop.set()
        server.go_on.set()
        answer = await asking
        assert (answer.status_code, answer.headers["connection"]) == (200, "close")


async def test_without_a_drain_it_is_gone_at_once() -> None:
    async with served(drain_seconds=0) as server:
        server.stop.set()
        assert await asyncio.wait_for(server.serving, 10)
        with pytest.raises(httpx.ConnectError):
            await server.client.get("/quick")
