"""The real servers of the tests are real: each does a piece of its own work."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
import uuid
from email.message import EmailMessage
from pathlib import Path

import aiosmtplib
import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.infrastructure.kafka_server import KafkaServer
from tests.infrastructure.postgres import PostgresServer
from tests.infrastructure.process import ServerProcess, is_alive
from tests.infrastructure.restic import ResticBinary
from tests.infrastructure.smtp import SmtpPeer
from tests.infrastructure.waiting import eventually, wait_until


async def test_postgres_answers_its_version(postgres_server: PostgresServer) -> None:
    connection = await asyncpg.connect(postgres_server.url_for("postgres"))
    try:
        assert (await connection.fetchval("SELECT version()")).startswith("PostgreSQL ")
    finally:
        await connection.close()


async def test_a_postgres_database_is_made_from_a_template_and_dropped_under_its_users(
    postgres_server: PostgresServer,
) -> None:
    template, copy = f"template_{uuid.uuid4().hex}", f"copy_{uuid.uuid4().hex}"
    postgres_server.create_database(template)
    await _execute(postgres_server.url_for(template), "CREATE TABLE facts AS SELECT 7 AS fact")
    postgres_server.create_database(copy, template=template)
    connection = await asyncpg.connect(postgres_server.url_for(copy))
    assert await connection.fetchval("SELECT fact FROM facts") == 7
    postgres_server.drop_database(copy)
    postgres_server.drop_database(template)
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await asyncpg.connect(postgres_server.url_for(copy))


async def test_postgres_keeps_its_data_and_its_address_when_it_is_killed_and_started_again(
    postgres_server: PostgresServer,
) -> None:
    database = f"kept_{uuid.uuid4().hex}"
    postgres_server.create_database(database)
    await _execute(postgres_server.url_for(database), "CREATE TABLE facts AS SELECT 7 AS fact")
    before = postgres_server.pid
    await asyncio.to_thread(postgres_server.kill)
    await asyncio.to_thread(postgres_server.restart)
    assert postgres_server.pid != before
    connection = await asyncpg.connect(postgres_server.url_for(database))
    assert await connection.fetchval("SELECT fact FROM facts") == 7
    await connection.close()
    postgres_server.drop_database(database)


async def test_a_frozen_postgres_answers_nobody_until_it_thaws(postgres_server: PostgresServer) -> None:
    connection = await asyncpg.connect(postgres_server.url_for("postgres"))
    postgres_server.freeze()
    try:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(
                asyncio.shield(answer := asyncio.ensure_future(connection.fetchval("SELECT 7"))), 0.2
            )
    finally:
        postgres_server.thaw()
    assert await answer == 7
    await connection.close()


async def test_kafka_gives_back_a_thousand_messages_in_order(kafka_server: KafkaServer) -> None:
    topic = await _a_topic(kafka_server)
    await _produce(kafka_server, topic, 1000)
    assert await _consume(kafka_server, topic, 1000) == [str(number) for number in range(1000)]


async def test_kafka_keeps_its_messages_when_it_is_killed_and_started_again(kafka_server: KafkaServer) -> None:
    topic = await _a_topic(kafka_server)
    await _produce(kafka_server, topic, 10)
    await asyncio.to_thread(kafka_server.kill)
    await asyncio.to_thread(kafka_server.restart)
    assert await _consume(kafka_server, topic, 10) == [str(number) for number in range(10)]


async def test_a_frozen_kafka_answers_nobody_until_it_thaws(kafka_server: KafkaServer) -> None:
    kafka_server.freeze()
    try:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.to_thread(kafka_server.wait_until_ready, timeout=0.1), timeout=8)
    finally:
        kafka_server.thaw()
    await asyncio.to_thread(kafka_server.wait_until_ready)


def test_restic_keeps_a_snapshot(restic_binary: ResticBinary, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "ledger").write_text("7")

    def restic(*arguments: str) -> str:
        environment = {
            "PATH": os.environ["PATH"],
            "RESTIC_REPOSITORY": str(tmp_path / "repository"),
            "RESTIC_PASSWORD": "a password for tests",
            "RESTIC_CACHE_DIR": str(tmp_path / "cache"),
        }
        command = [restic_binary.path, "--json", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60).stdout

    restic("init")
    restic("backup", str(tmp_path / "data"))
    (snapshot,) = json.loads(restic("snapshots"))
    assert snapshot["paths"] == [str(tmp_path / "data")]


async def test_the_smtp_peer_receives_a_mail(smtp_peer: SmtpPeer) -> None:
    await _send(smtp_peer, to="ada@example.org", subject="Fällig in drei Tagen")
    mail = await smtp_peer.wait_for(lambda mail: "ada@example.org" in mail.recipients)
    assert (mail.sender, mail.message["Subject"]) == ("mainstay@example.org", "Fällig in drei Tagen")
    assert mail.message.get_content().strip() == "Grüße"


async def test_the_smtp_peer_refuses_first_as_told_and_then_accepts(smtp_peer: SmtpPeer) -> None:
    smtp_peer.answer_next("451 4.3.0 Try again later", times=2)
    for _ in range(2):
        with pytest.raises(aiosmtplib.SMTPDataError) as refusal:
            await _send(smtp_peer, to="ada@example.org")
        assert refusal.value.code == 451
    await _send(smtp_peer, to="ada@example.org")
    assert (smtp_peer.attempts, len(smtp_peer.messages)) == (3, 1)


async def test_the_smtp_peer_refuses_an_address(smtp_peer: SmtpPeer) -> None:
    smtp_peer.refuse("gone@example.org", "550 5.1.1 No such user")
    with pytest.raises(aiosmtplib.SMTPRecipientsRefused):
        await _send(smtp_peer, to="gone@example.org")
    assert smtp_peer.messages == []


async def test_the_smtp_peer_takes_a_mail_and_loses_its_answer(smtp_peer: SmtpPeer) -> None:
    smtp_peer.lose_next_answer()
    with pytest.raises(aiosmtplib.SMTPServerDisconnected):
        await _send(smtp_peer, to="ada@example.org")
    assert len(smtp_peer.messages_to("ada@example.org")) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="the parent-death signal is Linux's")
def test_a_server_does_not_outlive_a_killed_run(tmp_path: Path) -> None:
    run = textwrap.dedent(f"""
        import pathlib, time
        from tests.infrastructure.process import ServerProcess
        server = ServerProcess("sleep", ["sleep", "600"], pathlib.Path({str(tmp_path)!r}))
        server.start()
        print(server.pid, flush=True)
        time.sleep(600)
    """)
    with subprocess.Popen([sys.executable, "-c", run], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        server = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
    wait_until(lambda: not is_alive(server), timeout=5, what="the server's end")


def test_a_server_started_from_a_passing_thread_stays(tmp_path: Path) -> None:
    server = ServerProcess("sleep", ["sleep", "600"], tmp_path)
    asyncio.run(asyncio.to_thread(server.start))
    try:
        server.insist_on_running()
    finally:
        server.kill()
    assert not server.is_running


async def test_waiting_gives_up_in_time() -> None:
    async def never() -> bool:
        return False

    with pytest.raises(TimeoutError, match="rain did not come within"):
        await eventually(never, timeout=0.05, what="rain")


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(statement)
    await connection.close()


async def _a_topic(server: KafkaServer) -> str:
    topic = f"test.{uuid.uuid4().hex}"
    admin = AIOKafkaAdminClient(bootstrap_servers=server.bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
    finally:
        await admin.close()
    return topic


async def _produce(server: KafkaServer, topic: str, count: int) -> None:
    async with AIOKafkaProducer(
        bootstrap_servers=server.bootstrap, acks="all", enable_idempotence=True, linger_ms=5
    ) as producer:
        sent = [await producer.send(topic, str(number).encode(), partition=0) for number in range(count)]
        await asyncio.wait_for(asyncio.gather(*sent), timeout=30)


async def _consume(server: KafkaServer, topic: str, count: int) -> list[str]:
    consumer = AIOKafkaConsumer(bootstrap_servers=server.bootstrap, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, 0)])
        await consumer.seek_to_beginning()
        records = [await asyncio.wait_for(consumer.getone(), timeout=20) for _ in range(count)]
    finally:
        await consumer.stop()
    return [record.value.decode() for record in records]


async def _send(peer: SmtpPeer, *, to: str, subject: str = "A test") -> None:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "mainstay@example.org", to, subject
    mail.set_content("Grüße")
    await aiosmtplib.send(mail, hostname=peer.host, port=peer.port, start_tls=False, timeout=10)
