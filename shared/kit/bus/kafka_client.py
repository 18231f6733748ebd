"""How to reach a Kafka cluster, and what it means when that fails."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnsupportedSaslMechanismError,
)

from shared.kit.bus.log import LogAway, LogRefused

GROUP_PREFIX = "mainstay."
COLD_TOPIC_SECONDS = 0.02
STRANGER = (SaslAuthenticationFailed, UnsupportedSaslMechanismError, IllegalSaslStateError)
FORBIDDEN = (TopicAuthorizationFailedError, GroupAuthorizationFailedError, ClusterAuthorizationFailedError)

Bury = Callable[[Coroutine[Any, Any, None]], None]
"""Ends something in the background; nobody waits for a broker that does not answer."""


@dataclass(frozen=True, kw_only=True)
class KafkaSettings:
    """How to reach the brokers, and the bounds that aiokafka does not keep by itself (seconds)."""

    bootstrap: str
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str = "PLAIN"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ssl_context: ssl.SSLContext | None = None
    partitions: int = 12
    """Of a topic that is created. Adding some later moves keys, so first let the topic run dry."""
    replication: int = 1
    retention: timedelta = timedelta(days=30)
    """How long a topic that is created keeps its records."""
    client_id: str = "mainstay"
    group_prefix: str = GROUP_PREFIX
    group_instance_id: str | None = None
    """Static membership: a name of this replica that survives its restart, so a rolling restart moves nothing."""
    start_seconds: float = 5.0
    send_seconds: float = 5.0
    stop_seconds: float = 2.0
    session_seconds: float = 30.0
    rebalance_seconds: float = 30.0
    heartbeat_seconds: float = 3.0

    @property
    def min_insync(self) -> int:
        """Replicas that have a record before it counts as stored: one may be away."""
        return max(self.replication - 1, 1)

    def patience(self, topics: int) -> float:
        """Seconds for a batch to that many topics: the first record of each makes the broker open its files.

        A thousand partners' topics took over five seconds, so that their batch failed, and failed again.
        """
        return self.send_seconds + topics * COLD_TOPIC_SECONDS

    def connection(self) -> dict[str, Any]:
        return {"bootstrap_servers": self.bootstrap, **self._entry()}

    def _entry(self) -> dict[str, Any]:
        return {
            "client_id": self.client_id,
            "security_protocol": self.security_protocol,
            "sasl_mechanism": self.sasl_mechanism,
            "sasl_plain_username": self.username,
            "sasl_plain_password": self.password,
            "ssl_context": self.ssl_context,
        }

    async def why_not(self) -> Exception | None:
        """What a broker says to a connection; aiokafka's clients only log it. None when one lets us in."""
        trouble: Exception | None = None
        for host, port, _ in collect_hosts(self.bootstrap):
            try:
                async with asyncio.timeout(self.start_seconds):
                    connection = await create_conn(host, port, **self._entry())
            except (TimeoutError, KafkaError, OSError) as error:
                trouble = error
            else:
                connection.close()
                return None
        return trouble


async def trouble(settings: KafkaSettings, what: str, error: Exception) -> LogAway:
    """What to raise when a client failed; `what` begins the sentence: Kafka …"""
    if isinstance(error, KafkaConnectionError) and settings.security_protocol != "PLAINTEXT":
        error = await settings.why_not() or error
    who = settings.username or "this process"
    if isinstance(error, STRANGER):
        return LogRefused(
            f"Kafka does not let {who} in ({type(error).__name__}): check MAINSTAY_KAFKA_USERNAME, "
            f"MAINSTAY_KAFKA_PASSWORD and MAINSTAY_KAFKA_SASL_MECHANISM."
        )
    if isinstance(error, FORBIDDEN):
        return LogRefused(
            f"Kafka does not allow {who} what it needs ({type(error).__name__}): `mainstay topics acls` lists it."
        )
    if isinstance(error, ssl.SSLCertVerificationError):
        return LogRefused(
            f"The broker's certificate is not trusted ({error.verify_message}): "
            f"MAINSTAY_KAFKA_CA_FILE names the authority that signed it."
        )
    return LogAway(f"Kafka {what}: {type(error).__name__}.")


@asynccontextmanager
async def administering(settings: KafkaSettings, what: str, bury: Bury) -> AsyncIterator[AIOKafkaAdminClient]:
    """An admin client for at most twice `start_seconds`; raises LogAway, LogRefused."""
    admin = AIOKafkaAdminClient(**settings.connection(), request_timeout_ms=milliseconds(settings.start_seconds))
    try:
        async with asyncio.timeout(2 * settings.start_seconds):
            await admin.start()
            yield admin
    except (TimeoutError, KafkaError, OSError) as error:
        raise await trouble(settings, what, error) from error
    finally:
        bury(_closed(admin))


async def _closed(admin: AIOKafkaAdminClient) -> None:
    with suppress(Exception):
        await asyncio.wait_for(admin.close(), 2.0)


def milliseconds(seconds: float) -> int:
    return int(seconds * 1000)
