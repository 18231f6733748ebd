"""Notify opened: its database and its mail server."""

from __future__ import annotations

from pathlib import Path

from services.notify import domain, gateways
from services.notify.settings import NotifySettings
from shared.kit import runtime
from shared.kit.auth import Authenticator
from shared.kit.bus.log import EventLog
from shared.kit.rulebook import Rulebook, every_rule_of
from shared.kit.runtime import Runtime
from shared.kit.settings import CommonSettings


def open_runtime(
    common: CommonSettings,
    *,
    log: EventLog | None = None,
    authenticator: Authenticator | None = None,
    settings: NotifySettings | None = None,
) -> Runtime:
    own = settings or NotifySettings()
    return runtime.open_runtime(
        "notify",
        own,
        common,
        migrations=Path(__file__).parent / "migrations",
        rules=Rulebook(every_rule_of(domain)),
        gateways=gateways.build(own),
        log=log,
        authenticator=authenticator,
    )
