"""Administrators look after parked events and timers over HTTP, and what they do is on the audit trail."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from shared.kernel.ids import new_id
from shared.kit.auth import Role
from shared.kit.bus.tables import parked_events
from shared.kit.tables import audit_rows, timers
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
