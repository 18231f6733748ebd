"""After the end: no new runs, restores while data is kept, then nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import permutations
from uuid import UUID

import pytest

from services.backup.domain.coverage import Coverage, Terms
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


async def test_in_an_extension_backups_go_on_and_retention_begins_at_its_end(world: World) -> None:
    await world.begin()
    until = world.now + timedelta(days=40)
    await world.service.tell(world.service_extended(until))
    assert datetime.fromisoformat((await world.protection())["period_ends_at"]) == until
    await world.service.advance(by=timedelta(days=35))
    last = (await world.runs())[-1]
    assert datetime.fromisoformat(last["slot_at"]) >= world.now + timedelta(days=30)
    await world.service.tell(world.service_expired(ended_at=until))
    (ended,) = await world.told(ProtectionEnded)
    assert ended.retain_until == until + timedelta(days=RETENTION_DAYS)


async def test_an_extension_granted_after_the_end_protects_again(world: World) -> None:
    await world.begin()
    await world.service.tell(world.service_expired())
    assert (await world.protection())["status"] == "ended"
    for _ in range(2):
        await world.service.tell(world.service_extended(world.now + timedelta(days=40), was_ended=True))
    protection = await world.protection()
    assert (protection["status"], protection["retain_until"]) == ("active", None)


@pytest.mark.parametrize("order", list(permutations(["registered", "extended", "renewed"])), ids="-".join)
def test_an_extension_lasts_for_its_own_period_in_whatever_order_it_is_told(order: tuple[str, ...]) -> None:
    end = datetime(2030, 2, 28, tzinfo=UTC)
    until, second = end + timedelta(days=20), terms(2, end + timedelta(days=31))
    coverage = Coverage(contract_id=UUID(int=1), customer_id=UUID(int=2), agreement_version="1")
    tell = {
        "registered": lambda: coverage.register([UUID(int=3)], terms(1, end)),
        "extended": lambda: coverage.extend(1, until),
        "renewed": lambda: coverage.renew(second),
    }
    for name in order[: order.index("renewed")]:
        tell[name]()
    if order[-1] == "renewed":
        assert coverage.followed_terms == terms(1, until)
    for name in order[order.index("renewed") :]:
        tell[name]()
    assert coverage.followed_terms == second


def terms(index: int, ends_at: datetime) -> Terms:
    return Terms(
        agreement_version="1",
        period_index=index,
        period_ends_at=ends_at,
        every_hours=24,
        restore_target_hours=4,
        retention_days=30,
    )


async def test_a_refunded_service_is_backed_up_no_more_and_its_data_is_kept(world: World) -> None:
    """Also when the next period had been paid, so that its terms are known."""
    await world.begin()
    await world.service.tell(world.service_renewed())
    await world.service.tell(world.service_refunded(last=2))
    (ended,) = await world.told(ProtectionEnded)
    assert ended.retain_until == world.now + timedelta(days=RETENTION_DAYS)
    await world.service.advance(by=timedelta(days=RETENTION_DAYS - 1))
    assert len(await world.runs()) == 1
    assert (await world.protection())["status"] == "ended"


@pytest.mark.parametrize(
    "order", list(permutations(["registered", "renewed", "held", "refunded", "expired"])), ids="-".join
)
def test_a_refund_is_the_last_word_whatever_comes_late(order: tuple[str, ...]) -> None:
    at = datetime(2030, 5, 1, tzinfo=UTC)

    def terms(index: int) -> Terms:
        return Terms(
            agreement_version="1",
            period_index=index,
            period_ends_at=at + timedelta(days=30 * index),
            every_hours=24,
            restore_target_hours=4,
            retention_days=30,
        )

    coverage = Coverage(contract_id=UUID(int=1), customer_id=UUID(int=2), agreement_version="1")
    heard = {
        "registered": lambda: coverage.register([UUID(int=3)], terms(1)),
        "renewed": lambda: coverage.renew(terms(2)),
        "held": lambda: coverage.hold(2),
        "refunded": lambda: coverage.refund(2, ended_at=at, retention_days=30),
        "expired": lambda: coverage.expire(2, ended_at=at - timedelta(days=1), retention_days=30),
    }
    for name in order:
        heard[name]()
    assert coverage.ended_at == at
    assert coverage.retention_days == 30
