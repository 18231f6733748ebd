"""One service alone: its API (`mainstay api NAME`) or its worker (`mainstay worker NAME`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI

from deploy import environment, services
from deploy.environment import PREFIX, ServerSettings, explained
from deploy.opening import forget_old_records, insist_as_accepted, insist_up_to_date, migrate, opened_log, present
from deploy.serving import bound_socket, port_of, serve, settle, stop_on_signals
from deploy.site.app import site
from deploy.split.probes import Probes, answering
from shared.kit.bus.log import EventLog
from shared.kit.runtime import Runtime
from shared.kit.telemetry import configure_logging

FRONT = "127.0.0.1"


async def run_api(service: str, port: int | None) -> int:
    """Serve one service below `/<service>`, on `port` or MAINSTAY_PORT, until told to stop."""
    told = environment.read_server(service, working=False)
    common = told.common
    configure_logging(common)
    with bound_socket(common.host, common.port if port is None else port) as bound:
        stop = asyncio.Event()
        async with opened(service, told) as runtime, present(runtime, "api", stop.set):
            app = services.app_of(runtime)

            @asynccontextmanager
            async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
                async with app.router.lifespan_context(app):
                    yield

            async def ready() -> Mapping[str, str]:
                return {service: await runtime.database.state()}

            root = site(common, services={service: app}, ready=ready, lifespan=lifespan, landing=False)
            served = await serve(
                root,
                bound,
                stop=stop,
                drain_seconds=common.drain_seconds,
                trusted_proxies=told.pages.trusted_proxies or FRONT,
                on_ready=lambda: print(f"The {service} API is ready on port {port_of(bound)}.", flush=True),
            )
    return 0 if served else 1


async def run_worker(service: str, metrics_port: int | None) -> int:
    """Run one of any number of workers of a service until told to stop; 1 when one of its loops died."""
    told = environment.read_server(service, working=True)
    common = told.common
    configure_logging(common)
    probes = Probes()
    async with AsyncExitStack() as stack:
        if metrics_port is not None:
            bound = stack.enter_context(bound_socket(common.host, metrics_port))
            await stack.enter_async_context(answering(probes.app(), bound))
        log = await stack.enter_async_context(opened_log(common))
        runtime = await stack.enter_async_context(opened(service, told, log))
        stop = asyncio.Event()
        await stack.enter_async_context(present(runtime, "worker", stop.set))
        stop_on_signals(stop)
        worker = services.worker_of(runtime)
        probes.watch(worker, stop)
        settle()
        print(f"A {service} worker is ready.", flush=True)
        forgetting = asyncio.create_task(forget_old_records(log, stop))
        try:
            await worker.run(stop)
        finally:
            forgetting.cancel()
    return 0


@asynccontextmanager
async def opened(service: str, told: ServerSettings, log: EventLog | None = None) -> AsyncIterator[Runtime]:
    with explained(f"{PREFIX}{service.upper()}_"):
        runtime = services.open_service(service, told.common, settings=told.services[service], log=log)
    try:
        await _bring_up_to_date(runtime)
        yield runtime
    finally:
        await runtime.close()


async def _bring_up_to_date(runtime: Runtime) -> None:
    """While developing, whoever comes first migrates; in production that is a step of its own."""
    if runtime.common.mode == "development":
        await migrate(runtime)
    await insist_up_to_date(runtime)
    await insist_as_accepted(runtime)
