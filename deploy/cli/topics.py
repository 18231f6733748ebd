"""Topics of the event log: what there should be, what there is, and who may do what with them."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import UUID

import typer

from deploy import environment, topics
from deploy.cli.output import AsJson, Exit, complain, print_json, print_table
from deploy.opening import ensure_topics, kafka_settings, opened_log
from deploy.topics import Topic
from shared.kit.bus.log import TopicState

if TYPE_CHECKING:
    from deploy.kafka.acls import User

commands = typer.Typer(help="Topics of the event log.", no_args_is_help=True)


@commands.command("list")
def list_topics(as_json: AsJson = False) -> None:
    """Every topic as declared and as found; 1 when a declared one is missing or differs."""

    async def work() -> list[Topic]:
        common = environment.read_common()
        async with opened_log(common) as log:
            return await topics.compare(log, common)

    found = asyncio.run(work())
    differences = [difference for topic in found for difference in topic.differences]
    if as_json:
        print_json({"topics": [_shown(topic) for topic in found], "differences": list(map(vars, differences))})
    else:
        columns = ["topic", "partitions", "replicas", "min in-sync", "retention"]
        print_table("Topics", columns, [(topic.name, *_cells(topic.found)) for topic in found])
        complain(map(str, differences))
    if differences:
        raise typer.Exit(Exit.FAILED)


@commands.command("ensure")
def ensure(as_json: AsJson = False) -> None:
    """Create the topics that are missing. Those that exist are never changed; what differs is said, with its remedy."""

    async def work() -> tuple[list[Topic], list[Topic]]:
        common = environment.read_common()
        async with opened_log(common) as log:
            before = await topics.compare(log, common)
            await ensure_topics(log)
            return before, await topics.compare(log, common)

    before, after = asyncio.run(work())
    created = [topic.name for topic in before if topic.found is None]
    differences = [difference for topic in after for difference in topic.differences]
    if as_json:
        names = [topic.name for topic in after]
        print_json({"topics": names, "created": created, "differences": list(map(vars, differences))})
        return
    print_table("Created", ["topic"], [(name,) for name in created])
    complain(map(str, differences))


@commands.command("acls")
def show_acls(
    partner: Annotated[UUID | None, typer.Option(help="Only the user of this partner.")] = None,
    form: Annotated[
        Literal["table", "kafka-acls", "strimzi"],
        typer.Option("--format", help="kafka-acls: commands of Kafka's own tool. strimzi: a partner's resources."),
    ] = "table",
    apply: Annotated[
        bool, typer.Option("--apply", help="Allow them that, as one of the cluster's super users.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """What each user may do on a Kafka that keeps ACLs; everything else is refused there."""
    from deploy.kafka import acls, strimzi

    if form == "strimzi" and not as_json:
        if partner is None:
            raise typer.BadParameter("needs --partner; those of the services are under deploy/kubernetes")
        print(strimzi.partner(partner), end="")
        return
    users = acls.users() if partner is None else [acls.partner_user(partner)]
    if apply:
        _allow(users)
    if form == "kafka-acls" and not as_json:
        for user in users:
            for line in acls.command_lines(user):
                print(line)
        return
    if partner is None:
        users.append(acls.partner_user())
    if as_json:
        print_json({"users": [acls.shown(user) for user in users]})
        return
    rows = [
        (user.name, acl.resource, acl.name, acl.pattern, ", ".join(acl.operations))
        for user in users
        for acl in user.acls
    ]
    print_table("May, on Kafka", ["user", "resource", "name", "pattern", "operations"], rows)


def _allow(users: list[User]) -> None:
    from deploy.kafka import admin

    asyncio.run(admin.allow(kafka_settings(environment.read_common()), users))


def _shown(topic: Topic) -> dict[str, Any]:
    return {"topic": topic.name, "declared": topics.shown(topic.declared), "found": topics.shown(topic.found)}


def _cells(state: TopicState | None) -> list[Any]:
    """A topic that is missing has empty cells."""
    if state is None:
        return [""] * 4
    days = "" if state.retention is None else f"{state.retention.days} days"
    kept = "for ever" if state.retention == timedelta.max else days
    return [state.partitions, state.replicas, state.min_insync, kept]
