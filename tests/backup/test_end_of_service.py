"""After the end: no new runs, restores while data is kept, then nothing."""

from __future__ import annotations

from datetime import timedelta

from services.backup.gateways.restic import ResticFailed
from shared.events.backup import BackupDataDeleted, ProtectionEnded
from tests.backup.world import RETENTION_DAYS, World


async def test_an_expired_service_is_backed_up_no_more_and_can_be_restored(world: World) -> None:
    await world.begin()
    await world.service.tell(world.service_expired(ended_at=world.now))
    (ended,) = await world.told(ProtectionEnded)
    assert ended.retain_until == world.now + timedelta(days=RETENTION_DAYS)
    await world.service.advance(by=timedelta(days=RETENTION_DAYS - 1))
    assert len(await world.runs()) == 1
    restore = (await world.ask_restore()).json()
    await world.service.run_due()
    assert (await world.customer.get(f"/v1/restores/{restore['id']}")).json()["status"] == "completed"


async def test_at_the_end_of_retention_everything_is_deleted(world: World) -> None:
    await world.begin()
    restore = (await world.ask_restore()).json()
    await world.service.run_due()
    (run,) = await world.runs()
    await world.service.tell(world.service_expired(ended_at=world.now))
    await world.service.advance(by=timedelta(days=RETENTION_DAYS))
    assert world.snapshots() == 0
    protection = await world.protection()
    assert protection["status"] == "purged"
    assert protection["data_deleted_at"] is not None
    assert len(await world.told(BackupDataDeleted)) == 1
    refused = await world.ask_restore(run_id=run["id"])
    assert refused.status_code == 410
    assert (refused.json()["code"], refused.json()["clause"]) == ("DataNoLongerKept", "2.2")
    assert refused.json()["agreement_version"] == "2026-01"
    assert (await world.ask_restore()).json()["code"] == "NothingToRestore"
    assert (await world.customer.get(f"/v1/restores/{restore['id']}/content")).status_code == 410
    assert (await world.customer.get(f"/v1/runs/{run['id']}/files")).status_code == 410
    verdicts = [each["verdict"] for each in (await world.support.get("/v1/decisions")).json()["items"]]
    assert verdicts == ["started", "within-target", "ended", "retention-over"]


async def test_a_deletion_that_fails_is_tried_again_and_not_told(world: World) -> None:
    await world.begin()
    await world.service.tell(world.service_expired(ended_at=world.now))
    world.restic.trouble = ResticFailed("storage away")
    await world.service.advance(by=timedelta(days=RETENTION_DAYS))
    assert (await world.protection())["status"] == "purged"
    assert (await world.protection())["data_deleted_at"] is None
    assert await world.told(BackupDataDeleted) == []
