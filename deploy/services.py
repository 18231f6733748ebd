"""The four services, found by name and imported only where they run."""

from __future__ import annotations

from collections.abc import Collection
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from fastapi import FastAPI

from shared.events.registry import FACTS
from shared.kit.auth import Authenticator
from shared.kit.bus.handlers import Handlers
from shared.kit.bus.log import EventLog
from shared.kit.bus.restoring import Memory
from shared.kit.db import Reader
from shared.kit.runtime import Runtime
from shared.kit.settings import CommonSettings, ServiceSettings
from shared.kit.worker import Worker

SERVICES = ("contracts", "billing", "backup", "notify")


def settings_class_of(service: str) -> type[ServiceSettings]:
    kind = getattr(import_module(f"services.{service}.settings"), f"{service.title()}Settings")
    return cast(type[ServiceSettings], kind)


def settings_of(service: str) -> ServiceSettings:
    """The service's settings out of the environment; raises pydantic's ValidationError."""
    return settings_class_of(service)()


def open_service(
    service: str,
    common: CommonSettings,
    *,
    settings: ServiceSettings | None = None,
    log: EventLog | None = None,
    authenticator: Authenticator | None = None,
) -> Runtime:
    """Open the service's database and gateways; `log` only where its worker runs."""
    module: Any = import_module(f"services.{service}.opening")
    return cast(Runtime, module.open_runtime(common, log=log, authenticator=authenticator, settings=settings))


def app_of(runtime: Runtime) -> FastAPI:
    module: Any = import_module(f"services.{runtime.name}.app")
    return cast(FastAPI, module.create_app(runtime))


def topics_of(service: str) -> Collection[str]:
    """The topics that the service hears."""
    return cast(Collection[str], import_module(f"services.{service}.consumers").handlers.topics)


def told_by(service: str) -> list[str]:
    """The topics of its own facts."""
    return sorted({fact.topic() for fact in FACTS if fact.producer == service})


def worker_of(runtime: Runtime) -> Worker:
    module: Any = import_module(f"services.{runtime.name}.worker")
    return cast(Worker, module.create_worker(runtime))


def handlers_of(service: str) -> Handlers:
    """What its consumer does when another service speaks."""
    return cast(Handlers, import_module(f"services.{service}.consumers").handlers)


def memory_of(service: str) -> Memory:
    """What it takes from its own facts after a restore."""
    return cast(Memory, getattr(import_module(f"services.{service}.consumers"), "memory", Memory()))


async def changed_since_accepted(service: str, reader: Reader) -> list[str]:
    """A line for each file of the service that is not any more what a customer relied on."""
    check = getattr(import_module(f"services.{service}.opening"), "changed_since_accepted", None)
    return [] if check is None else cast(list[str], await check(reader))


def migrations_of(service: str) -> Path:
    """The folder of its revisions."""
    return Path(__file__).parents[1] / "services" / service / "migrations"
