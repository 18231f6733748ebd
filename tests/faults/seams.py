"""The one table of places where a process may be made to die; each names the product's function there."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

DEATH = "tests.faults: killed at "
"""Begins the line that a process leaves in its log as it dies."""

API, WORKER, EMBEDDED, FRONT = "api", "worker", "embedded", "front"
EVERYWHERE = frozenset({"contracts", "billing", "backup", "notify"})

Die = Callable[[], None]
Original = Callable[..., Any]
Around = Callable[[Original, Die], Original]


class SeamGone(RuntimeError):
    """The product has no such function any more: name the new one in the table."""


@dataclass(frozen=True)
class Seam:
    """`target` is `module:name`; `kinds` and `services` are those of the processes that pass it in the main job."""

    target: str
    kinds: frozenset[str]
    around: Around
    services: frozenset[str] = EVERYWHERE


def install(name: str, nth: int = 1) -> None:
    """Let this process die by SIGKILL when it passes the seam for the nth time; raises SeamGone, KeyError."""
    seam = SEAMS[name]
    module, _, path = seam.target.partition(":")
    *parents, attribute = path.split(".")
    try:
        owner: Any = import_module(module)
        for parent in parents:
            owner = getattr(owner, parent)
        original = getattr(owner, attribute)
    except (ImportError, AttributeError) as gone:
        raise SeamGone(f"{name}: there is no {seam.target}") from gone
    setattr(owner, attribute, seam.around(original, _death(name, nth)))


def _death(name: str, nth: int) -> Die:
    passes = 0

    def die() -> None:
        nonlocal passes
        passes += 1
        if passes == nth:
            os.write(2, f"{DEATH}{name}\n".encode())
            os.kill(os.getpid(), signal.SIGKILL)

    return die


def _before(original: Original, die: Die) -> Original:
    async def replaced(*arguments: Any, **options: Any) -> Any:
        die()
        return await original(*arguments, **options)

    return replaced


def _after(original: Original, die: Die) -> Original:
    async def replaced(*arguments: Any, **options: Any) -> Any:
        result = await original(*arguments, **options)
        die()
        return result

    return replaced


def _after_telling_hooks(original: Original, die: Die) -> Original:
    """Everything of a transaction that tells something is written, and nothing committed."""

    async def replaced(database: Any, tx: Any) -> None:
        await original(database, tx)
        if tx.facts:
            die()

    return replaced


def _once_committed(original: Original, die: Die) -> Original:
    def replaced(database: Any, tx: Any) -> None:
        if tx.facts:
            die()
        original(database, tx)

    return replaced


def _at_the_second_of_a_batch(original: Original, die: Die) -> Original:
    async def replaced(work: Any, *arguments: Any) -> None:
        work.taken = getattr(work, "taken", 0) + 1
        if work.taken == 2:
            die()
        await original(work, *arguments)

    return replaced


def _when_positions_moved(original: Original, die: Die) -> Original:
    async def replaced(work: Any) -> None:
        if work._moved:
            die()
        await original(work)

    return replaced


def _half_of_the_batch(original: Original, die: Die) -> Original:
    """The log has taken the first half of a relay's batch."""

    async def replaced(relay: Any, rows: Any) -> Any:
        if len(rows) > 1:
            await original(relay, rows[: len(rows) // 2])
            die()
        return await original(relay, rows)

    return replaced


def _when_true(original: Original, die: Die) -> Original:
    async def replaced(*arguments: Any) -> Any:
        result = await original(*arguments)
        if result:
            die()
        return result

    return replaced


def _while_restic_backs_up(original: Original, die: Die) -> Original:
    async def replaced(program: str, *arguments: Any, **options: Any) -> Any:
        process = await original(program, *arguments, **options)
        if arguments[:1] == ("backup",):
            die()
        return process

    return replaced


def _instead_of_signing(original: Original, die: Die) -> Original:
    def replaced(sealer: Any, heads: Any) -> None:
        if heads:
            die()
        original(sealer, heads)

    return replaced


_COMMANDS = frozenset({API, WORKER, EMBEDDED})
_WORK = frozenset({WORKER, EMBEDDED})
_NOTIFY, _BACKUP = frozenset({"notify"}), frozenset({"backup"})
_TIMED = frozenset({"contracts", "backup"})

SEAMS: dict[str, Seam] = {
    # A command, a handler or a timer, and what it tells
    "before-commit": Seam("shared.kit.db:Database._before_commit", _COMMANDS, _after_telling_hooks),
    "after-commit": Seam("shared.kit.db:Database._committed", _COMMANDS, _once_committed),
    # The relay
    "in-relay-batch": Seam("shared.kit.bus.relay:Relay._append", _WORK, _half_of_the_batch),
    "after-acknowledgement": Seam("shared.kit.bus.relay:Relay._forget", _WORK, _before),
    # The consumer
    "in-consumer-batch": Seam("shared.kit.bus.consumer:_Work.take", _WORK, _at_the_second_of_a_batch),
    "after-effects": Seam("shared.kit.bus.consumer:_Work.save", _WORK, _when_positions_moved),
    "after-applying": Seam("shared.kit.bus.consumer:Consumer._apply_together", _WORK, _after),
    # Third parties, and one process that asks another
    "mail-midway": Seam("aiosmtplib:SMTP.data", _WORK, _before, _NOTIFY),
    "mail-taken": Seam("services.notify.gateways.smtp:SmtpServer.send", _WORK, _after, _NOTIFY),
    "restic-midway": Seam(
        "services.backup.gateways.restic:asyncio.create_subprocess_exec", _WORK, _while_restic_backs_up, _BACKUP
    ),
    "restic-done": Seam("services.backup.gateways.restic:ResticClient.back_up", _WORK, _after, _BACKUP),
    "keys-asked": Seam("shared.kit.auth:DiscoveredKeys.keys", frozenset({API}), _before),
    "answer-passed-on": Seam("deploy.split.proxy:Proxy._pass_on", frozenset({FRONT}), _after),
    # Timers
    "timers-claimed": Seam("shared.kit.schedule:TimerRunner._claim", _WORK, _when_true, _TIMED | _NOTIFY),
    "timer-in-transaction": Seam("shared.kit.timer_claims:Claims.finish", _WORK, _after, _TIMED),
    # The audit trail
    "before-signing": Seam("shared.kit.audit_trail:Sealer._sign", _WORK, _instead_of_signing),
}
