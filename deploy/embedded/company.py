"""The whole company in this process: runtimes, applications, and workers that are started again when they die."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field

import structlog
from fastapi import FastAPI

from deploy import services
from deploy.environment import PREFIX, explained
from deploy.opening import (
    bring_up_to_date,
    ensure_topics,
    forget_old_records,
    insist_as_accepted,
    opened_log,
    present,
)
from deploy.restarting import pause_after
from shared.kit.bus.log import EventLog
from shared.kit.runtime import Runtime, embedded_authenticator
from shared.kit.settings import CommonSettings, ServiceSettings

WORKERS_STOP_SECONDS = 6.0
LONGEST_WORKER_PAUSE_SECONDS = 30.0

log = structlog.get_logger("embedded")


@dataclass
class Company:
    common: CommonSettings
    log: EventLog
    runtimes: dict[str, Runtime]
    apps: dict[str, FastAPI]
    stop: asyncio.Event
    troubled: set[str] = field(default_factory=set)
    """Services whose worker died and waits to be started again."""

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Run the applications' own start-up and all workers meanwhile."""
        async with AsyncExitStack() as stack:
            for app in self.apps.values():
                await stack.enter_async_context(app.router.lifespan_context(app))
            keepers = [asyncio.create_task(self._keep_working(runtime)) for runtime in self.runtimes.values()]
            keepers.append(asyncio.create_task(forget_old_records(self.log, self.stop)))
            try:
                yield
            finally:
                self.stop.set()
                _done, slow = await asyncio.wait(keepers, timeout=WORKERS_STOP_SECONDS)
                for keeper in slow:
                    keeper.cancel()
                await asyncio.gather(*keepers, return_exceptions=True)

    async def _keep_working(self, runtime: Runtime) -> None:
        pause: float | None = None
        while not self.stop.is_set():
            began = time.monotonic()
            own_stop = asyncio.Event()
            passing_on = asyncio.create_task(_pass_on(self.stop, own_stop))
            try:
                await services.worker_of(runtime).run(own_stop)
            except Exception as error:
                self.troubled.add(runtime.name)
                log.error("worker died", service=runtime.name, error=type(error).__name__, exc_info=error)
            finally:
                passing_on.cancel()
            pause = pause_after(pause, time.monotonic() - began, longest=LONGEST_WORKER_PAUSE_SECONDS)
            with suppress(TimeoutError):
                await asyncio.wait_for(self.stop.wait(), pause)
            self.troubled.discard(runtime.name)

    async def ready(self) -> Mapping[str, str]:
        states = await asyncio.gather(*(self._state_of(runtime) for runtime in self.runtimes.values()))
        return dict(zip(self.runtimes, states, strict=True))

    async def _state_of(self, runtime: Runtime) -> str:
        return "worker is being started again" if runtime.name in self.troubled else await runtime.database.state()


@asynccontextmanager
async def open_company(
    common: CommonSettings, settings: Mapping[str, ServiceSettings], *, smtp_port: int | None
) -> AsyncIterator[Company]:
    """Open every service and bring its tables up to date; raises WrongSettings, CannotOpen.

    `smtp_port`: where the development mailbox listens, for a notify service that was not told another peer.
    """
    async with AsyncExitStack() as stack:
        event_log = await stack.enter_async_context(opened_log(common))
        authenticator = embedded_authenticator(common)
        runtimes: dict[str, Runtime] = {}
        for name in services.SERVICES:
            own = _with_mailbox(settings[name], smtp_port) if name == "notify" else settings[name]
            with explained(f"{PREFIX}{name.upper()}_"):
                runtimes[name] = services.open_service(
                    name, common, settings=own, log=event_log, authenticator=authenticator
                )
            stack.push_async_callback(runtimes[name].close)
        stop = asyncio.Event()
        for runtime in runtimes.values():
            for revision in await bring_up_to_date(runtime):
                log.info("migrated", service=runtime.name, revision=revision)
            await insist_as_accepted(runtime)
            await stack.enter_async_context(present(runtime, "embedded", stop.set))
        await ensure_topics(event_log)
        apps = {name: services.app_of(runtime) for name, runtime in runtimes.items()}
        yield Company(common, event_log, runtimes, apps, stop)


def _with_mailbox(settings: ServiceSettings, smtp_port: int | None) -> ServiceSettings:
    """A peer named in the environment wins over the mailbox."""
    if smtp_port is None or settings.model_fields_set & {"smtp_host", "smtp_port"}:
        return settings
    return settings.model_copy(update={"smtp_host": "127.0.0.1", "smtp_port": smtp_port})


async def _pass_on(outer: asyncio.Event, inner: asyncio.Event) -> None:
    await outer.wait()
    inner.set()
