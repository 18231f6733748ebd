"""Administrators look after parked events and timers over HTTP, and what they do is on the audit trail."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from shared.events.contracts import ServerRegistered
from shared.events.envelope import Envelope
from shared.kernel.ids import new_id
from shared.kit.auth import Role
from shared.kit.bus import positions
from shared.kit.bus.handlers import Handlers
from shared.kit.bus.log import Partition, headers_to_json
from shared.kit.bus.positions import Position, Stream
from shared.kit.bus.tables import parked_events
from shared.kit.db import Transaction
from shared.kit.tables import audit_rows, timers
from tests.kit.support import count, parcels, running_parcels
from tests.support.service import ServiceUnderTest


async def a_parked_event(service: ServiceUnderTest, **changes: Any) -> UUID:
    parked_id = new_id()
    async with service.runtime.database.transaction() as tx:
        values = {
            "id": parked_id,
            "consumer": "parcels",
            "topic": "billing.payment",
            "partition": 0,
            "offset": 7,
            "key": str(new_id()),
            "epoch": 1,
            "seq": 1,
            "numbered": True,
            "type": "mainstay.billing.payment-audited.v1",
            "headers": [["ce_id", "x"]],
            "value": b'{"verdict":"approved"}',
            "status": "held",
            "error_class": "KeyError",
            "error": "'server_ids'",
            "attempts": 16,
            "parked_at": tx.now,
            "next_attempt_at": None,
        }
        await tx.insert(parked_events, values | changes)
    return parked_id


async def a_parked_timer(service: ServiceUnderTest) -> UUID:
    timer_id = new_id()
    async with service.runtime.database.transaction() as tx:
        values = {
            "id": timer_id,
            "kind": "parcel.late",
            "subject_id": new_id(),
            "due_at": tx.now - timedelta(hours=1),
            "payload": {},
            "correlation_id": "test",
            "attempts": 6,
            "last_error": "ValueError: unreadable",
            "parked_at": tx.now,
        }
        await tx.insert(timers, values)
    return timer_id


async def verbs_on_the_trail(service: ServiceUnderTest) -> list[str]:
    async with service.runtime.database.reading() as reader:
        rows = await reader.rows(sa.select(audit_rows.c.event).order_by(audit_rows.c.id))
    return [row.event["verb"] for row in rows]


async def test_a_parked_event_is_listed_and_shown_whole(service: ServiceUnderTest) -> None:
    parked_id = await a_parked_event(service)
    admin = service.as_role(Role.ADMIN)
    listed = (await admin.get("/v1/parked/events")).json()["items"]
    assert [(one["id"], one["status"], one["error_class"]) for one in listed] == [(str(parked_id), "held", "KeyError")]
    whole = (await admin.get(f"/v1/parked/events/{parked_id}")).json()
    assert whole["value"] == '{"verdict":"approved"}'
    assert whole["headers"] == {"ce_id": "x"}
    assert whole["behind"] == []


async def test_a_retry_lets_the_worker_try_at_once(service: ServiceUnderTest) -> None:
    parked_id = await a_parked_event(service)
    answer = await service.as_role(Role.ADMIN).post(f"/v1/parked/events/{parked_id}/retry", json={})
    assert (answer.status_code, answer.json()["status"], answer.json()["attempts"]) == (200, "waiting", 0)
    assert await verbs_on_the_trail(service) == ["retry-event"]


async def test_a_gap_is_accepted_only_where_there_is_one(service: ServiceUnderTest) -> None:
    parked_id = await a_parked_event(service)
    answer = await service.as_role(Role.ADMIN).post(f"/v1/parked/events/{parked_id}/retry", json={"accept_gap": True})
    assert (answer.status_code, answer.json()["code"]) == (409, "NotAGap")
    assert await verbs_on_the_trail(service) == []


async def test_skipping_needs_a_reason_and_keeps_who_and_why(service: ServiceUnderTest) -> None:
    parked_id = await a_parked_event(service)
    admin = service.as_role(Role.ADMIN, subject="ops-ann")
    without = await admin.post(f"/v1/parked/events/{parked_id}/skip", json={"reason": "  "})
    assert without.status_code == 422
    skipped = await admin.post(f"/v1/parked/events/{parked_id}/skip", json={"reason": "sent twice by hand"})
    shown = skipped.json()
    assert (shown["status"], shown["skipped_by"], shown["skipped_reason"]) == (
        "skipped",
        "ops-ann",
        "sent twice by hand",
    )
    assert await verbs_on_the_trail(service) == ["skip-event"]
    again = await admin.post(f"/v1/parked/events/{parked_id}/skip", json={"reason": "once more"})
    assert (again.status_code, again.json()["code"]) == (409, "NotBlocking")


@pytest.fixture
async def listening(database_url: str, tmp_path: Path) -> AsyncIterator[ServiceUnderTest]:
    """The service with a consumer that notes each server, and cannot take servers of one name."""
    handlers = Handlers()

    @handlers.on(ServerRegistered)
    async def note(tx: Transaction, fact: ServerRegistered, envelope: Envelope) -> None:
        if fact.name == "poison":
            raise KeyError(fact.name)
        await tx.insert(parcels, {"id": fact.server_id, "label": f"{fact.name} {envelope.id}"})

    async with running_parcels(database_url, tmp_path, handlers=handlers, clock="virtual") as running:
        yield running


async def a_skipped_event(service: ServiceUnderTest, name: str) -> UUID:
    fact = ServerRegistered(
        customer_id=new_id(), server_id=new_id(), name=name, registered_at=datetime(2030, 1, 1, tzinfo=UTC)
    )
    envelope = Envelope(
        id=new_id(), source="/contracts", type=fact.type_name(), subject=str(fact.server_id), time=fact.registered_at,
        dataschema="", aggseq=1, aggepoch=1, correlationid="test", data=fact.model_dump(mode="json"),
    )  # fmt: skip
    headers, value = envelope.binary()
    skipped = {"status": "skipped", "skipped_at": fact.registered_at, "skipped_by": "ann", "skipped_reason": "a defect"}
    return await a_parked_event(service, headers=headers_to_json(headers), value=value, **skipped)


async def test_a_skipped_event_is_applied_after_all_on_the_record(listening: ServiceUnderTest) -> None:
    parked_id, admin = await a_skipped_event(listening, "web-1"), listening.as_role(Role.ADMIN, subject="ops-ann")
    answer = await admin.post(f"/v1/parked/events/{parked_id}/replay", json={"reason": "the defect is mended"})
    assert (answer.status_code, answer.json()["skipped_reason"]) == (200, "a defect")
    assert await count(listening) == 1
    async with listening.runtime.database.reading() as reader:
        (row,) = await reader.rows(sa.select(audit_rows.c.event))
    assert (row.event["verb"], row.event["by"], row.event["reason"]) == (
        "replay-event",
        "ops-ann",
        "the defect is mended",
    )
    again = await admin.post(f"/v1/parked/events/{parked_id}/replay", json={"reason": "once more"})
    assert (again.status_code, again.json()["code"]) == (404, "NoSuchParkedEvent")


async def test_one_that_still_fails_keeps_all_of_its_error_skipped(listening: ServiceUnderTest) -> None:
    for name in ("web-1", "poison"):
        await a_skipped_event(listening, name)
    admin, body = listening.as_role(Role.ADMIN), {"error_class": "KeyError", "reason": "the defect is mended"}
    answer = await admin.post("/v1/parked/replay", json=body)
    assert (answer.status_code, answer.json()["code"]) == (409, "StillFails")
    assert (await count(listening), await verbs_on_the_trail(listening)) == (0, [])


async def test_events_of_one_error_are_retried_and_skipped_together(service: ServiceUnderTest) -> None:
    for error_class in ("KeyError", "KeyError", "Gap"):
        await a_parked_event(service, error_class=error_class)
    admin = service.as_role(Role.ADMIN)
    retried = await admin.post("/v1/parked/retry", json={"error_class": "KeyError"})
    assert (retried.status_code, retried.json()) == (200, {"count": 2})
    skipped = await admin.post("/v1/parked/skip", json={"error_class": "KeyError", "reason": "sent by mistake"})
    assert skipped.json() == {"count": 2}
    assert [one["error_class"] for one in (await admin.get("/v1/parked/events")).json()["items"]] == ["Gap"]
    assert await verbs_on_the_trail(service) == ["retry-events", "skip-event", "skip-event"]


async def test_a_key_is_heard_again_from_a_number_that_it_has_reached(service: ServiceUnderTest) -> None:
    stream = Stream("billing.payment", str(new_id()))
    async with service.runtime.database.transaction() as tx:
        await positions.begin_at(tx, "parcels", {Partition(stream.topic, number): 7 for number in range(2)})
        await positions.write_positions(tx, "parcels", {stream: Position(1, 5)})
    admin, body = service.as_role(Role.ADMIN), {**stream._asdict(), "reason": "a handler was mended"}
    too_far = await admin.post("/v1/parked/replay-key", json={**body, "from_seq": 6})
    assert (too_far.status_code, too_far.json()["code"]) == (409, "NothingToReplay")
    answer = await admin.post("/v1/parked/replay-key", json={**body, "from_seq": 3})
    assert (answer.status_code, answer.json()) == (200, {"from_seq": 3, "to_seq": 5})
    async with service.runtime.database.reading() as reader:
        assert await positions.read_positions(reader, "parcels", [stream]) == {stream: Position(1, 2)}
    assert await verbs_on_the_trail(service) == ["replay-key"]


async def test_a_parked_timer_is_listed_and_run_again(service: ServiceUnderTest) -> None:
    timer_id = await a_parked_timer(service)
    admin = service.as_role(Role.ADMIN)
    listed = (await admin.get("/v1/parked/timers")).json()["items"]
    assert [(one["id"], one["last_error"]) for one in listed] == [(str(timer_id), "ValueError: unreadable")]
    assert (await admin.post(f"/v1/parked/timers/{timer_id}/retry")).status_code == 204
    assert (await admin.get("/v1/parked/timers")).json()["items"] == []
    again = await admin.post(f"/v1/parked/timers/{timer_id}/retry")
    assert (again.status_code, again.json()["code"]) == (404, "NoSuchTimer")


async def test_nobody_but_an_administrator_sees_what_is_parked(service: ServiceUnderTest) -> None:
    parked_id = await a_parked_event(service)
    for role in set(Role) - {Role.ADMIN}:
        caller = service.as_role(role, customer_id=new_id())
        assert (await caller.get("/v1/parked/events")).status_code == 403
        assert (await caller.post(f"/v1/parked/events/{parked_id}/retry", json={})).status_code == 403
        assert (await caller.post(f"/v1/parked/events/{parked_id}/replay", json={"reason": "x"})).status_code == 403
