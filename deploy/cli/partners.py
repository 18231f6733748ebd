"""What an operator does for a partner who reads its topic on Kafka."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from deploy import environment
from deploy.cli.operator import me, opened
from deploy.cli.output import AsJson, console, print_json
from deploy.environment import PREFIX, WrongSettings
from deploy.opening import kafka_settings
from services.notify.db import partners
from shared.events.registry import partner_topic
from shared.kit import audit_trail

if TYPE_CHECKING:
    from shared.kit.bus.kafka_client import KafkaSettings

commands = typer.Typer(help="Partners' access to Kafka.", no_args_is_help=True)

PartnerId = Annotated[UUID, typer.Argument(help="Which partner.")]


@commands.command("kafka-access")
def kafka_access(partner: PartnerId, as_json: AsJson = False) -> None:
    """Give a partner a Kafka user and a new password, printed once; again: another password.

    Needs the database of notify, and as MAINSTAY_KAFKA_USERNAME one of the cluster's super users.
    """
    given = asyncio.run(_give(partner))
    if as_json:
        print_json(given)
        return
    for name, value in given.items():
        console.print(f"{name}: {value}")


@commands.command("end-kafka-access")
def end_kafka_access(partner: PartnerId, as_json: AsJson = False) -> None:
    """Take a partner's Kafka user away: what it has open is refused at once, and nobody enters with it again."""
    user = asyncio.run(_take(partner))
    if as_json:
        print_json({"user": user, "ended": True})
    else:
        console.print(f"{user} has no access any more.")


async def _give(partner_id: UUID) -> dict[str, Any]:
    from deploy.kafka import acls, admin

    settings = _kafka()
    await _record(partner_id, "give-kafka-access")
    user = acls.partner_user(partner_id)
    password = await admin.make_user(settings, user)
    return {
        "user": user.name,
        "password": password,
        "mechanism": "SCRAM-SHA-512",
        "topic": partner_topic(partner_id),
        "group_prefix": partner_topic(partner_id),
        "bytes_per_second": user.bytes_per_second,
    }


async def _take(partner_id: UUID) -> str:
    from deploy.kafka import acls, admin

    settings = _kafka()
    await _record(partner_id, "end-kafka-access")
    user = acls.partner_user(partner_id)
    await admin.end_user(settings, user)
    return user.name


def _kafka() -> KafkaSettings:
    common = environment.read_common()
    if common.event_log != "kafka":
        raise WrongSettings(f"{PREFIX}EVENT_LOG: partners read the feed of an SQL log; only Kafka has users")
    return kafka_settings(common)


async def _record(partner_id: UUID, verb: str) -> None:
    """Before it is done: what cannot be recorded is not done. Raises NoSuchPartner."""
    async with opened("notify") as runtime, runtime.database.transaction() as tx:
        partner = await partners.get(tx, partner_id)
        tx.actor = me()
        audit_trail.record(tx, None, verb, partner.id)
