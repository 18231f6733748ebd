"""How far a service has read the event log, and where it goes on after records were lost to the log's retention."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import typer

from deploy.cli.operator import me, opened
from deploy.cli.output import AsJson, console, print_json, print_table
from deploy.cli.running import ServiceName
from deploy.opening import opened_log
from deploy.services import topics_of
from shared.kit import audit_trail
from shared.kit.audit_trail import COMPANY_CHAIN
from shared.kit.bus import positions
from shared.kit.bus.log import Bounds, EventLog, Partition
from shared.kit.bus.positions import NoSuchPartition, StoredOffset
from shared.kit.runtime import Runtime

R = TypeVar("R")

consumers = typer.Typer(help="How far services have read the event log.", no_args_is_help=True)


@consumers.command("list")
def list_partitions(service: ServiceName, as_json: AsJson = False) -> None:
    """Every partition that a service reads: where it is, what waits, and what the log dropped before it was read."""

    async def work(runtime: Runtime, log: EventLog) -> list[dict[str, Any]]:
        bounds, stored = await _state(runtime, log)
        return [_shown(partition, bounds[partition], stored.get(partition)) for partition in sorted(bounds)]

    found = _with(service, work)
    if as_json:
        print_json(found)
        return
    columns = ["topic", "partition", "next", "oldest", "end", "waiting", "lost"]
    print_table(f"Read by {service}", columns, [[one[name] for name in columns] for one in found])
    if any(one["lost"] for one in found):
        console.print(
            f"Lost records are read no more. Recover what they told from its producer, then go on with "
            f"`mainstay consumers restart {service} TOPIC PARTITION --reason …`."
        )


@consumers.command("restart")
def restart(
    service: ServiceName,
    topic: Annotated[str, typer.Argument(help="Of which topic.")],
    partition: Annotated[int, typer.Argument(min=0, help="Which partition.")],
    reason: Annotated[str, typer.Option(help="Why going on from there is right; kept on the audit trail.")],
    offset: Annotated[int | None, typer.Option(min=0, help="From this record; default: the oldest there is.")] = None,
    by: Annotated[str, typer.Option(help="Who decides this; default: you on this machine.")] = "",
    as_json: AsJson = False,
) -> None:
    """Go on with a partition from the oldest record that the log still has, or from another.

    What was applied is never applied again. Keys that lost a record park at it as a gap.
    """
    who = by or me()
    where = Partition(topic, partition)

    async def work(runtime: Runtime, log: EventLog) -> int:
        bounds, stored = await _state(runtime, log)
        if where not in stored:
            raise NoSuchPartition()
        start = bounds[where].oldest if offset is None else offset
        async with runtime.database.transaction() as tx:
            tx.actor = who
            await positions.restart_from(tx, service, where, start)
            before = stored[where].next
            audit_trail.record(
                tx, None, "restart-consumer", COMPANY_CHAIN,
                topic=topic, partition=partition, before=before, offset=start, reason=reason,
            )  # fmt: skip
        return start

    start = _with(service, work)
    if as_json:
        print_json({"topic": topic, "partition": partition, "next": start})
    else:
        console.print(f"{service} goes on with {topic}, partition {partition}, at {start}.")


async def _state(runtime: Runtime, log: EventLog) -> tuple[dict[Partition, Bounds], dict[Partition, StoredOffset]]:
    """What the log has of the topics that the service reads, and where the service is in them."""
    topics = topics_of(runtime.name)
    async with runtime.database.reading() as reader:
        stored = await positions.read_offsets(reader, runtime.name, topics)
    return dict(await log.bounds(topics)), stored


def _shown(partition: Partition, bounds: Bounds, stored: StoredOffset | None) -> dict[str, Any]:
    following = stored.next if stored else bounds.oldest
    return {
        "topic": partition.topic,
        "partition": partition.number,
        "next": following,
        "oldest": bounds.oldest,
        "end": bounds.end,
        "waiting": max(bounds.end - max(following, bounds.oldest), 0),
        "lost": max(bounds.oldest - following, 0),
    }


def _with(service: str, work: Callable[[Runtime, EventLog], Awaitable[R]]) -> R:
    async def run() -> R:
        async with opened(service) as runtime, opened_log(runtime.common) as log:
            return await work(runtime, log)

    return asyncio.run(run())
