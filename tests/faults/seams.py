"""The one table of places where a process may be made to die; each names the product's function there."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

DEATH, FREEZE = "tests.faults: killed at ", "tests.faults: stopped at "
"""Begin the line that a process leaves in its log as it dies or freezes."""

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


def install(name: str, nth: int = 1, *, freeze: bool = False) -> None:
    """Let this process die by SIGKILL, or freeze by SIGSTOP, when it passes the seam for the nth time.

    Raises SeamGone, KeyError.
    """
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
    word, number = (FREEZE, signal.SIGSTOP) if freeze else (DEATH, signal.SIGKILL)
    setattr(owner, attribute, seam.around(original, _end(name, nth, word, number)))


def seams_of(process: str) -> list[str]:
    """What a process of tests.system.installation passes in the main job."""
    kind, _, rest = process.partition("-")
    service = rest.partition("-")[0]
    return [
        name
        for name, seam in SEAMS.items()
        if kind in seam.kinds
        and (service in seam.services or not service)
        and (kind != API or service in _TELLING or not seam.kinds >= _COMMANDS)
    ]


def _end(name: str, nth: int, word: str, number: signal.Signals) -> Die:
    passes = 0

    def die() -> None:
        nonlocal passes
        passes += 1
        if passes == nth:
            os.write(2, f"{word}{name}\n".encode())
            os.kill(os.getpid(), number)

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


def _after_the_last_hook(original: Original, die: Die) -> Original:
    """Everything of a transaction that tells something is written, and nothing committed."""

    async def replaced(tx: Any) -> None:
        await original(tx)
        if tx.facts:
            die()

    return replaced


def _once_committed(original: Original, die: Die) -> Original:
    @asynccontextmanager
    async def replaced(database: Any) -> AsyncIterator[Any]:
        async with original(database) as tx:
            yield tx
        if tx.facts:
            die()

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
    def replaced(signed: Any, heads: Any) -> None:
        if heads:
            die()
        original(signed, heads)

    return replaced


_COMMANDS = frozenset({API, WORKER, EMBEDDED})
_WORK = frozenset({WORKER, EMBEDDED})
_NOTIFY, _BACKUP = frozenset({"notify"}), frozenset({"backup"})
_TIMED = frozenset({"contracts", "backup"})
_TELLING = frozenset({"contracts", "billing"})
"""Whose commands of the main job tell something."""

SEAMS: dict[str, Seam] = {
    # A command, a handler or a timer, and what it tells
    "before-commit": Seam("shared.kit.audit_trail:flush", _COMMANDS, _after_the_last_hook),
    "after-commit": Seam("shared.kit.db:Database.transaction", _COMMANDS, _once_committed),
    # The relay
    "in-relay-batch": Seam("shared.kit.bus.relay:Relay._append", _WORK, _half_of_the_batch),
    "after-acknowledgement": Seam("shared.kit.bus.relay:Relay._forget", _WORK, _before),
    # The consumer
    "in-consumer-batch": Seam("shared.kit.bus.applying:Work.take", _WORK, _at_the_second_of_a_batch),
    "after-effects": Seam("shared.kit.bus.applying:Work.save", _WORK, _when_positions_moved),
    "before-applying": Seam("shared.kit.bus.consumer:Consumer._apply_together", _WORK, _before),
    "after-applying": Seam("shared.kit.bus.consumer:Consumer._apply_together", _WORK, _after),
    # Third parties, and one process that asks another
    "mail-midway": Seam("aiosmtplib:SMTP.data", _WORK, _before, _NOTIFY),
    "mail-taken": Seam("services.notify.gateways.smtp:SmtpServer.send", _WORK, _after, _NOTIFY),
    "restic-midway": Seam(
        "services.backup.gateways.restic_program:asyncio.create_subprocess_exec", _WORK, _while_restic_backs_up, _BACKUP
    ),
    "restic-done": Seam("services.backup.gateways.restic_client:ResticClient.back_up", _WORK, _after, _BACKUP),
    "keys-asked": Seam("shared.kit.auth:httpx.AsyncClient.get", frozenset({API}), _after),
    "answer-passed-on": Seam("deploy.split.proxy:Proxy._pass_on", frozenset({FRONT}), _after),
    # Timers
    "timers-claimed": Seam("shared.kit.timer_runner:TimerRunner._claim", _WORK, _when_true, _TIMED | _NOTIFY),
    "timer-in-transaction": Seam("shared.kit.timer_claims:Claims.finish", _WORK, _after, _TIMED),
    # The audit trail
    "before-signing": Seam("shared.kit.signed_heads:SignedHeads.append", _WORK, _instead_of_signing),
}
