"""The newest verified backup of a server is on record, however its facts arrive."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import permutations
from uuid import UUID

import pytest

from services.contracts.db import verified_backups
from services.contracts.domain.verified_backup import VerifiedBackup
from shared.events.backup import BackupCompleted, BackupDataDeleted
from shared.events.envelope import Fact
from shared.kernel.ids import new_id
from tests.support.service import ServiceUnderTest

NIGHT = datetime(2030, 2, 1, 2, tzinfo=UTC)
DAY = timedelta(days=1)


class Protection:
    """What the backup service tells of one protection."""

    def __init__(self, server_id: UUID | None = None) -> None:
        self.server_id = server_id or new_id()
        self.ids = {
            "customer_id": new_id(),
            "protection_id": new_id(),
            "contract_id": new_id(),
            "server_id": self.server_id,
        }

    def completed(self, at: datetime) -> BackupCompleted:
        return BackupCompleted(
            **self.ids,
            run_id=new_id(),
            slot_at=at - timedelta(minutes=5),
            snapshot_id="4bba301e",
            files=3,
            bytes=4096,
            sample_sha256="0" * 64,
            completed_at=at,
        )

    def deleted(self, at: datetime) -> BackupDataDeleted:
        return BackupDataDeleted(**self.ids, deleted_at=at)


async def newest(service: ServiceUnderTest, server_id: UUID) -> VerifiedBackup | None:
    async with service.runtime.database.reading() as reader:
        return await verified_backups.newest_of(reader, server_id)


async def test_the_newest_backup_is_on_record_in_whatever_order_they_are_told_and_how_often(
    service: ServiceUnderTest,
) -> None:
    for order in permutations(range(3)):
        protection = Protection()
        backups = [protection.completed(NIGHT + number * DAY) for number in range(3)]
        for number in (*order, *order):
            await service.tell(backups[number])
        found = await newest(service, protection.server_id)
        assert found is not None
        assert (found.run_id, found.completed_at) == (backups[2].run_id, NIGHT + 2 * DAY)


async def test_told_at_once_the_newest_wins(service: ServiceUnderTest) -> None:
    protection = Protection()
    await asyncio.gather(*(service.tell(protection.completed(NIGHT + hour * DAY)) for hour in (4, 1, 7, 3, 6, 2, 5)))
    found = await newest(service, protection.server_id)
    assert found is not None
    assert found.completed_at == NIGHT + 7 * DAY


async def test_of_two_protections_of_a_server_the_newer_backup_counts_until_its_data_is_deleted(
    service: ServiceUnderTest,
) -> None:
    first = Protection()
    second = Protection(first.server_id)
    await service.tell(second.completed(NIGHT + DAY))
    await service.tell(first.completed(NIGHT))
    found = await newest(service, first.server_id)
    assert found is not None
    assert found.protection_id == second.ids["protection_id"]
    await service.tell(second.deleted(NIGHT + 2 * DAY))
    found = await newest(service, first.server_id)
    assert found is not None
    assert found.protection_id == first.ids["protection_id"]


@pytest.mark.parametrize("deleted_first", [True, False])
async def test_deleted_backups_are_no_evidence_and_stay_so(service: ServiceUnderTest, deleted_first: bool) -> None:
    protection = Protection()
    told: list[Fact] = [protection.completed(NIGHT), protection.deleted(NIGHT + DAY)]
    for fact in reversed(told) if deleted_first else told:
        await service.tell(fact)
    await service.tell(protection.completed(NIGHT + DAY / 2))
    assert await newest(service, protection.server_id) is None


async def test_a_server_nobody_told_of_has_none(service: ServiceUnderTest) -> None:
    assert await newest(service, new_id()) is None


@pytest.mark.parametrize(("age", "younger"), [(0, True), (24, False), (23.999, True), (-1, True), (48, False)])
def test_a_backup_is_younger_than_so_many_hours(age: float, younger: bool) -> None:
    backup = VerifiedBackup(
        server_id=new_id(), contract_id=new_id(), protection_id=new_id(), run_id=new_id(), completed_at=NIGHT
    )
    assert backup.is_younger_than(24, NIGHT + timedelta(hours=age)) is younger
