"""Topics of the event log: what there should be, what there is, and who may do what with them."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal
from uuid import UUID

import typer

from deploy import environment
from deploy.cli.output import AsJson, print_json, print_table
from deploy.opening import ensure_topics, opened_log
from shared.events.registry import TOPICS

commands = typer.Typer(help="Topics of the event log.", no_args_is_help=True)


@commands.command("ensure")
def ensure(as_json: AsJson = False) -> None:
    """Create the topics that are missing."""

    async def work() -> None:
        async with opened_log(environment.read_common()) as log:
            await ensure_topics(log)

    asyncio.run(work())
    if as_json:
        print_json({"topics": TOPICS})
    else:
        print_table("Topics", ["topic"], [(topic,) for topic in TOPICS])


@commands.command("acls")
def show_acls(
    partner: Annotated[UUID | None, typer.Option(help="Only the user of this partner.")] = None,
    form: Annotated[
        Literal["table", "kafka-acls"], typer.Option("--format", help="kafka-acls: commands of Kafka's own tool.")
    ] = "table",
    as_json: AsJson = False,
) -> None:
    """What each user may do on a Kafka that keeps ACLs; everything else is refused there."""
    from deploy.kafka import acls

    users = acls.users() if partner is None else [acls.partner_user(partner)]
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
