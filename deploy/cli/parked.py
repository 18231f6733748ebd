"""Events and timers that wait for a person: list, show, retry, skip, replay."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar
from uuid import UUID

import typer

from deploy.cli.operator import me, opened
from deploy.cli.output import AsJson, Exit, complain, console, print_json, print_table
from deploy.cli.running import ServiceName
from deploy.progress import Progress
from deploy.services import handlers_of
from shared.kit import audit_trail, parked_timers
from shared.kit.bus import parking, replaying
from shared.kit.bus.parking import ParkedEvent
from shared.kit.bus.positions import Stream
from shared.kit.db import Transaction
from shared.kit.parked_api import NOTHING_SINGLE, recording
from shared.kit.runtime import Runtime

R = TypeVar("R")

LONGEST_LIST = 1_000

parked = typer.Typer(help="Events that could not be applied; each blocks its own key.", no_args_is_help=True)
timers = typer.Typer(help="Timers that failed too often.", no_args_is_help=True)

EventId = Annotated[UUID | None, typer.Argument(help="Which parked event.")]
OfClass = Annotated[str | None, typer.Option("--class", help="Every event that blocks its key with this error class.")]
By = Annotated[str, typer.Option(help="Who decides this; default: you on this machine.")]
Limit = Annotated[int, typer.Option(min=1, max=LONGEST_LIST, help="At most so many.")]


@parked.command("list")
def list_events(
    service: ServiceName,
    error_class: Annotated[str | None, typer.Option("--class", help="Only this error class.")] = None,
    skipped: Annotated[bool, typer.Option("--skipped", help="Those that were skipped, instead.")] = False,
    limit: Limit = 100,
    as_json: AsJson = False,
) -> None:
    """What blocks a key in this service, oldest first."""

    async def work(runtime: Runtime) -> list[ParkedEvent]:
        async with runtime.database.reading() as reader:
            statuses = ("skipped",) if skipped else ("waiting", "held")
            return await parking.list_parked(reader, error_class=error_class, statuses=statuses, limit=limit)

    found = _with(service, work)
    if as_json:
        print_json([_shown(event) for event in found])
        return
    rows = [
        (
            event.id,
            event.status,
            event.type or event.topic,
            event.key,
            event.error_class,
            event.attempts,
            event.parked_at,
        )
        for event in found
    ]
    print_table(f"Parked in {service}", ["id", "status", "event", "key", "error", "attempts", "parked at"], rows)


@parked.command("show")
def show_event(
    service: ServiceName,
    event_id: Annotated[UUID, typer.Argument(help="Which parked event.")],
    as_json: AsJson = False,
) -> None:
    """One parked event: its headers and body, why it is parked, and what waits behind it."""

    async def work(runtime: Runtime) -> dict[str, Any]:
        async with runtime.database.reading() as reader:
            event = await parking.show(reader, event_id)
            behind = await parking.followers(reader, event)
        return {
            **_shown(event),
            "headers": {name: value.decode("utf-8", "replace") for name, value in event.headers},
            "value": event.value.decode("utf-8", "replace"),
            "behind": [{"id": one.id, "type": one.type, "epoch": one.epoch, "seq": one.seq} for one in behind],
        }

    found = _with(service, work)
    if as_json:
        print_json(found)
    else:
        print_table(f"Parked event {event_id}", ["", ""], [(name, value) for name, value in found.items()])


@parked.command("retry")
def retry_events(
    service: ServiceName,
    event_id: EventId = None,
    error_class: OfClass = None,
    accept_gap: Annotated[
        bool, typer.Option("--accept-gap", help="The missing events before it will never come: apply it without them.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Have the worker try again at once: one event, or all with one error class."""
    _one_of(event_id, error_class)

    async def work(tx: Transaction) -> int:
        tx.actor = me()
        if event_id is not None:
            await parking.retry(tx, event_id, accept_gap=accept_gap)
            audit_trail.record(tx, None, "retry-event", event_id, accept_gap=accept_gap)
            return 1
        count = await parking.retry_all(tx, consumer=service, error_class=error_class or "")
        if count:
            audit_trail.record(tx, None, "retry-events", NOTHING_SINGLE, error=error_class, count=count)
        return count

    _report("retried", _changing(service, work), as_json=as_json)


@parked.command("skip")
def skip_events(
    service: ServiceName,
    reason: Annotated[str, typer.Option(help="Why going on without it is right; kept on the audit trail.")],
    event_id: EventId = None,
    error_class: OfClass = None,
    by: By = "",
    as_json: AsJson = False,
) -> None:
    """Go on without an event: one, or all with one error class. The event is kept as skipped."""
    _one_of(event_id, error_class)
    who, audit = by or me(), recording("skip-event", reason)

    async def work(tx: Transaction) -> int:
        tx.actor = who
        if event_id is not None:
            await parking.skip(tx, event_id, reason=reason, by=who, audit=audit)
            return 1
        return await parking.skip_all(
            tx, consumer=service, error_class=error_class or "", reason=reason, by=who, audit=audit
        )

    _report("skipped", _changing(service, work), as_json=as_json)


@parked.command("replay")
def replay_events(
    service: ServiceName,
    reason: Annotated[str, typer.Option(help="Why it is right by now; kept on the audit trail.")],
    event_id: EventId = None,
    error_class: Annotated[
        str | None, typer.Option("--class", help="Every event that was skipped with this error class.")
    ] = None,
    by: By = "",
    as_json: AsJson = False,
) -> None:
    """Apply a skipped event after all, behind what its key has had since: one, or all with one error class or none."""
    _one_of(event_id, error_class)
    handlers = handlers_of(service)

    async def work(tx: Transaction) -> int:
        tx.actor = by or me()
        if event_id is not None:
            events = [await replaying.replay_skipped(tx, handlers, event_id)]
        else:
            progress = Progress(f"Applying what was skipped in {service}")
            events = await replaying.replay_all_skipped(
                tx, handlers, consumer=service, error_class=error_class or "", told=progress.at
            )
            progress.end()
        for event in events:
            recording("replay-event", reason)(tx, event)
        return len(events)

    _report("replayed", _changing(service, work), as_json=as_json)


@parked.command("replay-key")
def replay_key(
    service: ServiceName,
    topic: Annotated[str, typer.Argument(help="The topic, for instance billing.payment.")],
    key: Annotated[str, typer.Argument(help="The key, which is the aggregate's id.")],
    from_seq: Annotated[int, typer.Option(min=1, help="aggseq of the first event to be heard again.")],
    reason: Annotated[str, typer.Option(help="Why, for instance which defect was mended; kept on the audit trail.")],
    by: By = "",
    as_json: AsJson = False,
) -> None:
    """Have the worker hear one key's events again from the log, for instance after a handler was mended."""

    async def work(tx: Transaction) -> int:
        tx.actor = by or me()
        last = await replaying.replay_key(tx, service, Stream(topic, key), from_seq=from_seq)
        details = {"topic": topic, "key": key, "from_seq": from_seq, "reason": reason}
        audit_trail.record(tx, None, "replay-key", NOTHING_SINGLE, **details)
        return last.seq - from_seq + 1

    _report("to be heard again", _changing(service, work), as_json=as_json)


@timers.command("parked")
def list_timers(service: ServiceName, limit: Limit = 100, as_json: AsJson = False) -> None:
    """Timers that failed too often and wait for a person, oldest first."""

    async def work(runtime: Runtime) -> list[dict[str, Any]]:
        async with runtime.database.reading() as reader:
            rows = await parked_timers.list_parked(reader, limit=limit)
        return [dict(row._mapping) for row in rows]

    found = _with(service, work)
    if as_json:
        print_json(found)
    else:
        names = ["id", "kind", "subject_id", "due_at", "attempts", "last_error", "parked_at"]
        print_table(f"Parked timers of {service}", names, [[one[name] for name in names] for one in found])


@timers.command("retry")
def retry_timer(
    service: ServiceName,
    timer_id: Annotated[UUID, typer.Argument(help="Which timer.")],
    as_json: AsJson = False,
) -> None:
    """Let a parked timer run again now."""

    async def work(tx: Transaction) -> int:
        await parked_timers.retry(tx, timer_id)
        return 1

    _report("retried", _changing(service, work), as_json=as_json)


def _with(service: str, work: Callable[[Runtime], Awaitable[R]]) -> R:
    async def run() -> R:
        async with opened(service) as runtime:
            return await work(runtime)

    return asyncio.run(run())


def _changing(service: str, work: Callable[[Transaction], Awaitable[int]]) -> int:
    async def run(runtime: Runtime) -> int:
        async with runtime.database.transaction() as tx:
            return await work(tx)

    return _with(service, run)


def _one_of(event_id: UUID | None, error_class: str | None) -> None:
    if (event_id is None) == (error_class is None):
        complain(["Name one parked event, or an error class with --class."])
        raise typer.Exit(Exit.WRONG_SETTINGS)


def _report(verb: str, count: int, *, as_json: bool) -> None:
    if as_json:
        print_json({verb: count})
    else:
        console.print(f"{count} {verb}.")


def _shown(event: ParkedEvent) -> dict[str, Any]:
    hidden = {"headers", "value"}
    return {name: value for name, value in vars(event).items() if name not in hidden}
