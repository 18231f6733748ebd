"""`mainstay front`: the one address of a split installation, with the pages, development sign-in and mailbox."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
from fastapi import FastAPI

from deploy import environment
from deploy.services import SERVICES
from deploy.serving import bound_socket, port_of, serve
from deploy.site.app import site
from deploy.site.mailbox import MailboxAt, open_mailbox
from deploy.split.proxy import Proxy
from deploy.split.settings import FrontSettings
from shared.kit.http_transport import direct_client
from shared.kit.settings import CommonSettings
from shared.kit.telemetry import configure_logging

ASK_SECONDS = 3


async def run_front() -> int:
    """Until told to stop; raises WrongSettings, PortTaken."""
    told = environment.read_server(working=False)
    common, pages = told.common, told.pages
    backends = environment.read(FrontSettings)
    configure_logging(common)
    with bound_socket(common.host, common.port) as bound:
        common = common.model_copy(update={"port": port_of(bound)})
        async with AsyncExitStack() as stack:
            mailbox = await open_mailbox(stack, common, pages)
            served = await serve(
                front(common, backends, mailbox),
                bound,
                stop=asyncio.Event(),
                drain_seconds=common.drain_seconds,
                trusted_proxies=pages.trusted_proxies,
                on_ready=lambda: print(f"The front is ready at {common.base_url}.", flush=True),
            )
    return 0 if served else 1


def front(common: CommonSettings, backends: FrontSettings, mailbox: MailboxAt | None) -> FastAPI:
    """The application of the front."""
    proxies = {name: Proxy(backends.urls_of(name), body_seconds=common.body_seconds) for name in SERVICES}

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        for proxy in proxies.values():
            proxy.open()
        yield
        for proxy in proxies.values():
            await proxy.close()

    async def ready() -> Mapping[str, str]:
        async with direct_client(timeout=ASK_SECONDS) as client:
            states = await asyncio.gather(*(_state_of(client, name, backends.urls_of(name)) for name in SERVICES))
        return dict(zip(SERVICES, states, strict=True))

    return site(common, services=proxies, ready=ready, lifespan=lifespan, mailbox=mailbox)


async def _state_of(client: httpx.AsyncClient, name: str, urls: list[str]) -> str:
    """`ok` while any replica is, else what the first says."""
    states = await asyncio.gather(*(_ask(client, name, url) for url in urls))
    return "ok" if "ok" in states else states[0]


async def _ask(client: httpx.AsyncClient, name: str, url: str) -> str:
    try:
        answer = await client.get(f"{url}/{name}/readyz")
    except httpx.HTTPError as error:
        return f"does not answer ({type(error).__name__})"
    return "ok" if answer.is_success else f"answers {answer.status_code}"
