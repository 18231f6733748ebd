"""The production set-up: TLS, an identity provider outside, three brokers with ACLs, of which any one may die."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import httpx

from deploy.demo.client import Installation, Person
from deploy.demo.rows import Rows
from deploy.demo.story import Story
from services.backup.gateways.keys import KEY_BYTES
from shared.events.registry import partner_topic
from shared.kit.auth import Role
from tests.compose.outside import REALM
from tests.compose.stack import Stack, brought_up
from tests.infrastructure.process import free_port
from tests.infrastructure.waiting import eventually, wait_until
from tests.support.partner_topic import ids_on, reading

HERE = Path(__file__).parent
PATIENCE_SECONDS = 420.0
BROKERS = ("kafka-1", "kafka-2", "kafka-3")
ROWS_BEFORE_A_DEATH = 6
NOTICES = Counter(
    {
        "invoice-issued": 1,
        "payment-approved": 1,
        "service-registered": 1,
        "remote-backup-approved": 1,
        "emergency-reported": 1,
        "emergency-acknowledged": 1,
        "emergency-resolved": 1,
    }
)
BY_CERTIFICATE = """security.protocol=SSL
ssl.keystore.type=PEM
ssl.keystore.location=/run/secrets/kafka_keystore
ssl.truststore.type=PEM
ssl.truststore.location=/run/secrets/kafka_ca
"""
TELL_UNDER_REPLICATED = f"""printf '{BY_CERTIFICATE}' >/tmp/admin
KAFKA_HEAP_OPTS=-Xmx128m /opt/kafka/bin/kafka-topics.sh --bootstrap-server kafka-1:9094 --command-config /tmp/admin \\
    --describe --under-replicated-partitions
"""


async def check(say: Callable[[str], None], *, keep: bool) -> None:
    """Raises AssertionError or StepFailed."""
    outside, brokers = free_port(), dict(zip(("1", "2", "3"), (free_port(), free_port(), free_port()), strict=True))
    settings = {f"DEPLOY_KAFKA_PORT_{number}": str(port) for number, port in brokers.items()} | {
        "DEPLOY_ALSO": str(HERE / "outside.yaml"),
        "OUTSIDE_SCRIPT": str(HERE / "outside.py"),
        "OUTSIDE_PORT": str(outside),
        "MAINSTAY_PUBLIC_URL": "https://localhost",
        "MAINSTAY_OIDC_ISSUER": f"http://outside:8080{REALM}",
        "MAINSTAY_NOTIFY_SMTP_HOST": "outside",
        "MAINSTAY_NOTIFY_SMTP_PORT": "1025",
        "MAINSTAY_NOTIFY_SMTP_SECURITY": "none",
        "MAINSTAY_NOTIFY_SENDER": "Mainstay <notices@mainstay.dev>",
        "MAINSTAY_BILLING_SELLER_NAME": "Kontor Wartung GmbH",
        "MAINSTAY_BILLING_SELLER_STREET": "Am Sandtorkai 1",
        "MAINSTAY_BILLING_SELLER_CITY": "Hamburg",
        "MAINSTAY_BILLING_SELLER_POSTAL_CODE": "20457",
        "MAINSTAY_BILLING_SELLER_COUNTRY": "DE",
    }
    with brought_up("production", settings, secrets=a_place_elsewhere(), keep=keep) as stack:
        say(f"up at https://localhost:{stack.port}")
        async with deployed(stack, outside) as installation:
            await expect_nothing_but_the_services(installation)
            say("the edge speaks TLS and shows the services only")
            for broker in BROKERS:
                story = await played(installation, stack, broker)
                say(f"played with {broker} dead from the middle on; nothing was lost")
                stack.start(broker)
                stack.wait_until_healthy(broker)
                wait_until(lambda: is_whole(stack), timeout=300, what="all replicas to catch up")
            expect_the_backup_key_to_be_replaced(stack)
            say("every repository, here and elsewhere, opens with a new backup key and no longer with the one before")
            bootstrap = [f"localhost:{port}" for port in brokers.values()]
            await expect_the_partner_to_read_its_topic_only(stack, story, bootstrap)
            say("the partner reads its own topic over TLS, in order, and sees no other")
            stack.verify_audit_trails()


def a_place_elsewhere() -> dict[str, str]:
    """For the backup service where it is, and for the server there who may write to it."""
    password = secrets.token_hex(32)
    digest = base64.b64encode(hashlib.sha1(password.encode(), usedforsecurity=False).digest()).decode()
    return {
        "backup_remote_repositories": f"rest:http://company:{password}@elsewhere:8000/company",
        "elsewhere_users": f"company:{{SHA}}{digest}\n",
    }


class Deployed(Installation):
    """On the system clock, with people signed in by the provider outside."""

    def __init__(self, url: str, provider: str, context: ssl.SSLContext) -> None:
        super().__init__(url, patience=PATIENCE_SECONDS)
        self._provider = provider
        self.http = httpx.AsyncClient(base_url=url, timeout=30, trust_env=False, verify=context)

    async def person(
        self, name: str, role: Role, *, customer_id: UUID | None = None, partner_id: UUID | None = None
    ) -> Person:
        form = {"role": role.value, "subject": name}
        form |= {"customer_id": str(customer_id)} if customer_id else {}
        form |= {"partner_id": str(partner_id)} if partner_id else {}
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            answer = (await client.post(f"{self._provider}/token", data=form)).raise_for_status()
        return Person(self, name, answer.json()["access_token"])

    async def clock(self, service: str = "contracts") -> datetime:
        return datetime.now(UTC)

    async def move_clock(self, admin: Person, to: datetime) -> None:
        return None


class Beginning(Story):
    """The story as far as it goes without moving the clock: signed, paid, registered, backed up here and
    elsewhere, restored, and helped in an emergency."""

    async def play(self) -> Rows:
        chapters = (
            *(self._arrive, self._register, self._link_partner, self._name_server, self._choose, self._accept),
            *(self._pay_first, self._protect, self._restore, self._apply_for_remote, self._call_support),
        )
        for chapter in chapters:
            async for row in chapter():
                yield row

    async def expect_all_told(self) -> None:
        """Every notice delivered, every fact read by the partner, once each."""

        async def are_delivered() -> bool:
            found = await self._notices(None)
            return Counter(each["kind"] for each in found) == NOTICES and all(
                each["status"] == "delivered" for each in found
            )

        await eventually(are_delivered, timeout=PATIENCE_SECONDS, what="the delivery of every notice")
        self.feed.expect("notice-delivered", times=NOTICES.total())
        self.feed.expect("backup-completed", times=await self._completed_backups())

        async def are_read() -> bool:
            await self.feed.read()
            return not self.feed._difference()

        await eventually(are_read, timeout=PATIENCE_SECONDS, what="the partner to have read every fact once")


@asynccontextmanager
async def deployed(stack: Stack, outside: int) -> AsyncIterator[Deployed]:
    context = ssl.create_default_context(cafile=stack.secrets / "kafka_ca")
    provider = f"http://localhost:{outside}{REALM}"
    installation = Deployed(f"https://localhost:{stack.port}", provider, context)
    async with installation:
        yield installation


async def expect_nothing_but_the_services(installation: Deployed) -> None:
    assert (await installation.http.get("/contracts/v1/catalogue/plans")).status_code == 200
    hidden = ("/", "/metrics", "/readyz", "/mailbox", "/dev-issuer/jwks", "/contracts/metrics", "/notify/readyz")
    for path in hidden:
        answer = await installation.http.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "NoSuchPath"), path
    assert (await installation.http.get("/contracts/v1/clock")).status_code == 404


async def played(installation: Deployed, stack: Stack, broker: str) -> Beginning:
    """A story in the middle of which the broker dies, for good."""
    story, count = Beginning(installation), 0
    async for _row in story.play():
        count += 1
        if count == ROWS_BEFORE_A_DEATH:
            stack.kill(broker)
    await story.expect_all_told()
    return story


def is_whole(stack: Stack) -> bool:
    """The tool says a line with `Topic:` for each partition that is not on all its brokers."""
    return "Topic:" not in stack.execute("kafka-1", "bash", "-c", TELL_UNDER_REPLICATED)


def expect_the_backup_key_to_be_replaced(stack: Stack) -> None:
    """By the steps of docs/operations/keys.md for a key that is a mounted secret."""
    in_use, before = stack.secrets / "backup_key", stack.secrets / "backup_key_retired"
    for path, content in ((before, in_use.read_bytes()), (in_use, os.urandom(KEY_BYTES))):
        path.unlink()
        path.write_bytes(content)
        path.chmod(0o444)
    for part in ("backup-api", "backup-worker"):
        stack.restart(part)
    stack.wait_until_healthy("backup-api", "backup-worker")
    done = json.loads(stack.execute("backup-worker", "mainstay", "keys", "rotate", "backup", "--json"))
    assert (done["repositories"], done["still_open"]) == (2 * len(BROKERS), []), "a story has one here, one elsewhere"
    assert done["take_away"] == "/run/secrets/backup_key.retired"


async def expect_the_partner_to_read_its_topic_only(stack: Stack, story: Beginning, bootstrap: list[str]) -> None:
    partner = story.partner.partner_id
    command = ("partners", "kafka-access", str(partner), "--json")
    given = json.loads(stack.script("run", "--rm", "-T", "operator", *command))
    access = {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": given["mechanism"],
        "sasl_plain_username": given["user"],
        "sasl_plain_password": given["password"],
        "ssl_context": ssl.create_default_context(cafile=stack.secrets / "kafka_ca"),
    }
    expected = [event["id"] for event in story.feed.events]
    async with reading(bootstrap, **access) as consumer:
        assert await ids_on(given["topic"], consumer, count=len(expected)) == expected
        assert await consumer.topics() == {partner_topic(partner)}, "all that it may even see"
