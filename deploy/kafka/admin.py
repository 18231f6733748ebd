"""Making users on a Kafka cluster and allowing them what they need; asks for one of the cluster's super users."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Coroutine, Iterable
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import for_code
from aiokafka.protocol.api import Request

from deploy.kafka.acls import User
from deploy.kafka.requests import CreateAcls, DeleteAcls, DeletePassword, SetPassword, SetQuota, errors_of
from shared.kit.bus.kafka_client import KafkaSettings, administering


async def allow(settings: KafkaSettings, users: Iterable[User]) -> None:
    """Add what each user may do and set its bounds, and take nothing away; raises LogAway, LogRefused."""
    await _ask(settings, [request for user in users for request in (*_bounds(user), CreateAcls(user))])


async def make_user(settings: KafkaSettings, user: User) -> str:
    """A new password for this user, who is made first if there is none; raises LogAway, LogRefused."""
    password = secrets.token_urlsafe(32)
    await _ask(settings, [*_bounds(user), SetPassword(user, password), CreateAcls(user)])
    return password


async def end_user(settings: KafkaSettings, user: User) -> None:
    """Nothing is allowed any more, and then nobody enters with its password; no error when there is no such user."""
    await _ask(settings, [DeleteAcls(user), DeletePassword(user), SetQuota(user, None)])


def _bounds(user: User) -> list[Request[Any]]:
    return [] if user.bytes_per_second is None else [SetQuota(user, user.bytes_per_second)]


async def _ask(settings: KafkaSettings, requests: Iterable[Request[Any]]) -> None:
    ending: list[asyncio.Task[None]] = []

    def bury(end: Coroutine[Any, Any, None]) -> None:
        ending.append(asyncio.ensure_future(end))

    async with administering(settings, "did not change its users", bury) as admin:
        for request in requests:
            await _sent(admin, request)
    await asyncio.gather(*ending)


async def _sent(admin: AIOKafkaAdminClient, request: Request[Any]) -> None:
    answer = await admin._send_to_controller(request)
    for code, message in errors_of(answer):
        raise for_code(code)(message or "")
