"""`mainstay run`: the company, its pages and its mailbox behind one port."""

from __future__ import annotations

import gc
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI

from deploy import environment
from deploy.embedded.company import open_company
from deploy.folder import locked
from deploy.serving import bound_socket, port_of, serve
from deploy.site.app import site
from deploy.site.mailbox import MailboxAt, open_mailbox
from shared.kit.settings import CommonSettings
from shared.kit.telemetry import configure_logging


async def run_embedded(*, started: float | None = None) -> int:
    """Until told to stop; raises WrongSettings, CannotOpen, PortTaken, FolderInUse. `started`: time.monotonic()."""
    told = environment.read_whole()
    common, pages = told.common, told.pages
    configure_logging(common)
    with locked(common.data_dir.absolute()), bound_socket(common.host, common.port) as bound:
        common = common.model_copy(update={"port": port_of(bound)})
        async with AsyncExitStack() as stack:
            mailbox = await open_mailbox(stack, common, pages)
            company = await stack.enter_async_context(
                open_company(common, told.services, smtp_port=mailbox.smtp_port if mailbox else None)
            )

            @asynccontextmanager
            async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
                async with company.working():
                    yield

            root = site(common, services=company.apps, ready=company.ready, lifespan=lifespan, mailbox=mailbox)

            def ready() -> None:
                # What start-up made stays: keep the collector from walking it again and again.
                gc.collect()
                gc.freeze()
                _say_ready(common, mailbox, started)

            served = await serve(
                root,
                bound,
                stop=company.stop,
                drain_seconds=common.drain_seconds,
                trusted_proxies=pages.trusted_proxies,
                on_ready=ready,
            )
    return 0 if served else 1


def _say_ready(common: CommonSettings, mailbox: MailboxAt | None, started: float | None) -> None:
    took = f" after {time.monotonic() - started:.1f} s" if started is not None else ""
    post = f", mailbox at 127.0.0.1:{mailbox.smtp_port}" if mailbox else ""
    print(
        f"Mainstay is ready at {common.base_url}{took} (data in {common.data_dir}, {common.clock} clock{post}).",
        flush=True,
    )
