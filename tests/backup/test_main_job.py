"""From a registered service to a restored file."""

from __future__ import annotations

import hashlib
from datetime import timedelta

from shared.events.backup import BackupCompleted, ProtectionStarted, RestoreCompleted
from tests.backup.world import EVERY_HOURS, World

CONTENT = b"colour=blue\n"


async def test_a_registered_service_is_backed_up_at_once_and_proven(world: World) -> None:
    await world.begin()
    protection = await world.protection()
    assert protection["status"] == "active"
    assert protection["overdue"] is False
    (run,) = await world.runs()
    assert run["status"] == "succeeded"
    assert run["files"] == 1
    (started,) = await world.told(ProtectionStarted)
    assert started.every_hours == EVERY_HOURS
    (completed,) = await world.told(BackupCompleted)
    assert completed.sample_sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert protection["last_success"]["run_id"] == run["id"]
    decisions = (await world.customer.get("/v1/decisions")).json()["items"]
    assert [(each["verdict"], each["clause"], each["agreement_version"]) for each in decisions] == [
        ("started", "2.2", "2026-01")
    ]


async def test_each_interval_has_its_backup(world: World) -> None:
    await world.begin()
    for _ in range(3):
        await world.service.advance(by=timedelta(hours=EVERY_HOURS))
    runs = await world.runs()
    assert [run["status"] for run in runs] == ["succeeded"] * 4
    assert world.snapshots() == 4
    assert (await world.protection())["missed_slots"] == 0


async def test_a_file_comes_back_within_the_target(world: World) -> None:
    await world.begin()
    answer = await world.ask_restore()
    assert answer.status_code == 201, answer.text
    restore = answer.json()
    assert restore["status"] == "requested"
    await world.service.run_due()
    found = (await world.customer.get(f"/v1/restores/{restore['id']}")).json()
    assert found["status"] == "completed"
    assert found["within_target"] is True
    content = await world.customer.get(f"/v1/restores/{restore['id']}/content")
    assert content.content == CONTENT
    assert content.headers["content-disposition"] == 'attachment; filename="app.conf"'
    assert found["sha256"] == hashlib.sha256(content.content).hexdigest()
    (told,) = await world.told(RestoreCompleted)
    assert told.within_target is True
    decisions = (await world.customer.get("/v1/decisions", params={"subject_id": restore["id"]})).json()["items"]
    assert [(each["verdict"], each["clause"]) for each in decisions] == [("within-target", "2.2")]


async def test_a_snapshot_lists_what_can_be_restored(world: World) -> None:
    await world.begin()
    (run,) = await world.runs()
    answer = await world.customer.get(f"/v1/runs/{run['id']}/files")
    assert answer.json() == {"items": [{"path": "etc/app.conf", "bytes": len(CONTENT)}], "complete": True}
