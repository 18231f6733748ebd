"""Commands around an installation, run as people run them."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from collections.abc import Awaitable, Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from deploy import environment
from deploy.cli.main import main
from deploy.opening import opened_log
from deploy.services import open_service
from services.notify.db.tables import customers
from shared.events.contracts import ZoneChanged
from shared.events.envelope import Envelope
from shared.kernel.ids import new_id
from shared.kit import audit_trail
from shared.kit.bus import positions
from shared.kit.bus.log import Partition, Record, headers_to_json
from shared.kit.bus.positions import Position, Stream
from shared.kit.bus.sql_log import SqlLog
from shared.kit.bus.tables import parked_events
from shared.kit.db import Transaction
from shared.kit.runtime import Runtime, embedded_authenticator
from shared.kit.tables import audit_rows, timers


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder that commands and this test share."""
    monkeypatch.setenv("MAINSTAY_DATA_DIR", str(tmp_path))
    return tmp_path


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


def mainstay(*arguments: str) -> Done:
    """The command line, in this process: what it says and its exit code."""
    out, err = io.StringIO(), io.StringIO()
    with patch.object(sys, "argv", ["mainstay", *arguments]), redirect_stdout(out), redirect_stderr(err):
        try:
            main()
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
    return Done(code, out.getvalue(), err.getvalue())


def told(*arguments: str, code: int = 0) -> Any:
    done = mainstay(*arguments, "--json")
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def on(service: str, work: Callable[[Runtime], Awaitable[Any]]) -> Any:
    """Do something to the service's database directly."""

    async def run() -> Any:
        runtime = open_service(service, environment.read_common(), settings=environment.read_service(service))
        try:
            return await work(runtime)
        finally:
            await runtime.close()

    return asyncio.run(run())


def changing(service: str, work: Callable[[Transaction], Awaitable[Any]]) -> Any:
    async def run(runtime: Runtime) -> Any:
        async with runtime.database.transaction() as tx:
            return await work(tx)

    return on(service, run)


def test_migrations_are_shown_then_applied_then_done(folder: Path) -> None:
    pending = told("migrate", "--dry-run")["pending"]
    assert set(pending) == {"contracts", "billing", "backup", "notify"}
    assert told("migrate", "billing")["applied"] == {"billing": [one["revision"] for one in pending["billing"]]}
    assert told("migrate")["applied"]["billing"] == []
    assert not any(told("migrate", "--dry-run")["pending"].values())


def test_a_command_on_a_database_without_tables_says_what_to_do(folder: Path) -> None:
    revisions = told("migrate", "--dry-run")["pending"]["billing"]
    done = mainstay("parked", "list", "billing")
    assert (done.returncode, done.stderr.strip()) == (
        3,
        f"The database of billing lacks {len(revisions)} migration(s): run `mainstay migrate billing`.",
    )


def test_a_token_is_one_the_services_take(folder: Path) -> None:
    customer = str(uuid4())
    token = told("token", "customer", "--customer-id", customer, "--subject", "ada")["access_token"]
    caller = asyncio.run(embedded_authenticator(environment.read_common()).caller_of(f"Bearer {token}"))
    assert (caller.subject, str(caller.customer_id)) == ("ada", customer)


def test_there_are_no_development_tokens_in_production(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAINSTAY_MODE", "production")
    monkeypatch.setenv("MAINSTAY_OIDC_ISSUER", "https://issuer.example")
    assert mainstay("token", "admin").returncode == 2


def test_an_unknown_service_is_wrong_use(folder: Path) -> None:
    assert mainstay("parked", "list", "weather").returncode == 2


def test_records_that_the_log_lost_are_listed_and_a_restart_goes_on_behind_them_on_the_record(folder: Path) -> None:
    told("migrate", "billing")
    lost = asyncio.run(lose_records("contracts.contract", 3))
    changing("billing", lambda tx: positions.begin_at(tx, "billing", {lost: 1}))
    state = {(one["topic"], one["partition"]): one for one in told("consumers", "list", "billing")}[lost]
    assert (state["next"], state["oldest"], state["lost"], state["waiting"]) == (1, 3, 2, 0)
    assert "mainstay consumers restart billing" in mainstay("consumers", "list", "billing").stdout
    restart = ("consumers", "restart", "billing", lost.topic)
    assert mainstay(*restart, "99", "--reason", "a test").returncode == 1
    assert told(*restart, str(lost.number), "--reason", "a test")["next"] == 3
    assert not any(one["lost"] for one in told("consumers", "list", "billing"))
    [recorded] = changing("billing", lambda tx: tx.rows(sa.select(audit_rows.c.event)))
    assert (recorded.event["verb"], recorded.event["before"], recorded.event["offset"]) == ("restart-consumer", 1, 3)


async def lose_records(topic: str, count: int) -> Partition:
    """Records that the log took and dropped again; where they were."""
    async with opened_log(environment.read_common()) as log:
        assert isinstance(log, SqlLog)
        await log.append([Record(topic, "key", [], b"{}")] * count)
        while await log.forget(datetime.now(UTC) + timedelta(minutes=1)):
            continue
        return next(partition for partition, bounds in (await log.bounds([topic])).items() if bounds.end)


def test_a_parked_event_is_listed_shown_retried_and_skipped_on_the_record(folder: Path) -> None:
    told("migrate", "billing")
    event_id = changing("billing", park)
    assert [one["id"] for one in told("parked", "list", "billing")] == [str(event_id)]
    shown = told("parked", "show", "billing", str(event_id))
    assert (shown["error_class"], shown["value"]) == ("KeyError", '{"poison": true}')
    assert told("parked", "retry", "billing", str(event_id)) == {"retried": 1}
    assert told("parked", "skip", "billing", "--class", "KeyError", "--reason", "a test") == {"skipped": 1}
    assert told("parked", "list", "billing") == []
    assert [one["skipped_reason"] for one in told("parked", "list", "billing", "--skipped")] == ["a test"]
    recorded = changing("billing", lambda tx: tx.rows(sa.select(audit_rows.c.event)))
    assert [row.event["verb"] for row in recorded] == ["retry-event", "skip-event"]


def test_a_skipped_event_is_applied_after_all_and_its_key_heard_again(folder: Path) -> None:
    told("migrate", "notify")
    changing("notify", skipped_move)
    stream = ("contracts.customer", str(MOVED.customer_id))
    assert told("parked", "replay", "notify", "--class", "KeyError", "--reason", "mended") == {"replayed": 1}
    zones = changing("notify", lambda tx: tx.rows(sa.select(customers.c.customer_id, customers.c.zone)))
    assert [tuple(row) for row in zones] == [(MOVED.customer_id, MOVED.zone)]
    assert told("parked", "list", "notify", "--skipped") == []
    done = mainstay("parked", "replay-key", "notify", *stream, "--from-seq", "3", "--reason", "mended")
    assert (done.returncode, done.stderr.strip()) == (1, "Of this key nothing was applied from that number on.")
    assert told("parked", "replay-key", "notify", *stream, "--from-seq", "2", "--reason", "mended") == {
        "to be heard again": 1
    }
    recorded = changing("notify", lambda tx: tx.rows(sa.select(audit_rows.c.event).order_by(audit_rows.c.id)))
    assert [(row.event["verb"], row.event["reason"]) for row in recorded] == [
        ("replay-event", "mended"),
        ("replay-key", "mended"),
    ]
    assert all(row.event["by"].startswith("cli:") for row in recorded)


NOBODYS = "01a20700-0000-7000-8000-000000000000"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("skip", "billing", "--reason", "x"), 2),
        (("retry", "billing", NOBODYS), 1),
        (("show", "billing", NOBODYS), 1),
        (("replay", "billing", NOBODYS, "--reason", "x"), 1),
        (("replay", "billing", "--reason", "x"), 2),
        (("retry", "billing", "not-an-id"), 2),
    ],
    ids=str,
)
def test_what_is_not_parked_is_neither_retried_nor_skipped(folder: Path, arguments: tuple[str, ...], code: int) -> None:
    told("migrate", "billing")
    done = mainstay("parked", *arguments)
    assert done.returncode == code
    assert done.stderr


def test_a_parked_timer_is_listed_and_retried(folder: Path) -> None:
    told("migrate", "notify")
    timer_id = changing("notify", park_timer)
    assert [one["id"] for one in told("timers", "parked", "notify")] == [str(timer_id)]
    assert told("timers", "retry", "notify", str(timer_id)) == {"retried": 1}
    assert told("timers", "parked", "notify") == []
    assert mainstay("timers", "retry", "notify", str(timer_id)).returncode == 1


CHAIN = UUID(int=7)


def test_a_whole_audit_trail_verifies(folder: Path) -> None:
    sealed("contracts")
    found = told("audit", "verify", "contracts")
    assert (found["chains"], found["rows"], found["breaks"]) == (1, 5, [])


@pytest.mark.parametrize(
    ("tamper", "seq", "reason"),
    [
        (sa.update(audit_rows).where(audit_rows.c.seq == 3).values(event={"verb": "nothing"}), 3, "hash"),
        (sa.delete(audit_rows).where(audit_rows.c.seq == 2), 2, "missing"),
        (sa.delete(audit_rows).where(audit_rows.c.seq > 3), 4, "missing: the signed head is at 5"),
        (sa.delete(audit_rows), 1, "missing: the signed head is at 5"),
    ],
    ids=["changed", "removed", "cut off", "emptied"],
)
def test_the_first_broken_link_is_named(folder: Path, tamper: Any, seq: int, reason: str) -> None:
    sealed("contracts")
    changing("contracts", lambda tx: tx.execute(tamper))
    (found,) = told("audit", "verify", "contracts", code=1)["breaks"]
    assert (found["chain"], found["seq"]) == (str(CHAIN), seq)
    assert reason in found["reason"]


def test_a_rewritten_chain_differs_from_its_signed_heads(folder: Path) -> None:
    sealed("contracts")
    changing("contracts", rewrite)
    (found,) = told("audit", "verify", "contracts", code=1)["breaks"]
    assert "signed head" in found["reason"]


def test_a_forged_head_is_found(folder: Path) -> None:
    sealed("contracts")
    heads = folder / "audit" / "contracts.heads.jsonl"
    heads.write_text(heads.read_text().replace('", 5, "', '", 4, "'))
    found = told("audit", "verify", "contracts", code=1)["breaks"]
    assert "signature does not hold" in found[0]["reason"]


def test_generated_documents_are_compared_with_the_code(folder: Path) -> None:
    root = folder / "checkout"
    root.mkdir()
    assert mainstay("docs", "check", "--root", str(root)).returncode == 1
    assert told("docs", "write", "--root", str(root))["written"]
    assert told("docs", "check", "--root", str(root)) == {"differences": {}, "schemas": []}
    assert told("docs", "write", "--root", str(root))["written"] == []
    path = root / "docs/api/asyncapi.json"
    path.write_text(path.read_text().replace("Mainstay events", "Other events"))
    done = mainstay("docs", "check", "--root", str(root))
    assert done.returncode == 1
    assert '+    "title": "Mainstay events"' in done.stderr


MOVED = ZoneChanged(customer_id=UUID(int=9), zone="Asia/Shanghai", changed_at=datetime(2030, 1, 1, tzinfo=UTC))


async def skipped_move(tx: Transaction) -> None:
    """A customer's move, which was skipped as the second event of its key."""
    envelope = Envelope(
        id=new_id(), source="/contracts", type=MOVED.type_name(), subject=str(MOVED.customer_id), time=tx.now,
        dataschema="", aggseq=2, aggepoch=1, correlationid="test", data=MOVED.model_dump(mode="json"),
    )  # fmt: skip
    headers, value = envelope.binary()
    await park(
        tx,
        consumer="notify", topic=MOVED.topic(), key=str(MOVED.customer_id), type=envelope.type, status="skipped",
        headers=headers_to_json(headers), value=value,
        skipped_at=tx.now, skipped_by="ann", skipped_reason="a defect",
    )  # fmt: skip
    stream = Stream(MOVED.topic(), str(MOVED.customer_id))
    await positions.write_positions(tx, "notify", {stream: Position(1, 2)})


async def park(tx: Transaction, **changes: object) -> UUID:
    event_id = new_id()
    await tx.insert(
        parked_events,
        {
            "id": event_id,
            "consumer": "billing",
            "topic": "contracts.contract",
            "partition": 0,
            "offset": 4,
            "key": "k",
            "epoch": 1,
            "seq": 2,
            "numbered": True,
            "type": "mainstay.contracts.contract-accepted.v1",
            "headers": [["ce_id", "x"]],
            "value": b'{"poison": true}',
            "status": "held",
            "error_class": "KeyError",
            "error": "poison",
            "attempts": 16,
            "parked_at": tx.now,
            **changes,
        },
    )
    return event_id


async def park_timer(tx: Transaction) -> UUID:
    timer_id = new_id()
    values = {"kind": "notice.send", "subject_id": new_id(), "payload": {}, "correlation_id": "test"}
    await tx.insert(timers, {"id": timer_id, "due_at": tx.now, "parked_at": tx.now, "attempts": 6, **values})
    return timer_id


def sealed(service: str) -> None:
    """Five audit rows of one chain, sealed and signed."""
    told("migrate", service)

    async def work(runtime: Runtime) -> None:
        async with runtime.database.transaction() as tx:
            for number in range(5):
                audit_trail.record(tx, CHAIN, "do", new_id(), number=number)
        await audit_trail.Sealer(runtime.database, service, runtime.data_dir).seal()

    on(service, work)


async def rewrite(tx: Transaction) -> None:
    """What somebody who can write the database, but not sign, would do."""
    before = audit_trail.GENESIS
    for row in await tx.rows(sa.select(audit_rows).order_by(audit_rows.c.seq)):
        event = {**row.event, "number": 99}
        before = audit_trail.row_hash(before, row.chain, row.seq, row.at, event)
        await tx.execute(sa.update(audit_rows).where(audit_rows.c.id == row.id).values(event=event, hash=before))
