"""2.2 Local backup: as often as the accepted agreement says, back within its target, and deleted when it says."""

from datetime import timedelta
from uuid import UUID

import pytest

from services.backup.gateways.restic import ResticFailed
from shared.events.backup import BackupCompleted, BackupDataDeleted, ProtectionEnded, ProtectionStarted
from shared.events.contracts import ServerRegistered, ServiceExpired, ServiceRegistered
from tests.backup.world import World
from tests.contracts.stories.lifecycle import LifecycleStory as Story
from tests.contracts.stories.refunds import with_parameters
from tests.contracts.story import END, HOUR, START

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

DAY = timedelta(days=1)


async def served(story: Story, backup: World) -> None:
    """A registered service of which the backup service has heard, and a server with a file on it."""
    await story.active()
    await backup.service.advance(to=START)
    backup.customer_id, backup.contract_id = story.customer_id, UUID(story.contract)
    backup.server_id = UUID(story.server_ids[0])
    await passed_on(story, backup, ServerRegistered)
    assert (await backup.put_file()).status_code == 200
    await passed_on(story, backup, ServiceRegistered)
    await backup.service.run_due()


async def passed_on(
    story: Story, backup: World, kind: type[ServerRegistered | ServiceRegistered | ServiceExpired]
) -> None:
    for fact in await story.told(kind):
        await backup.service.tell(fact)


async def decided(backup: World) -> list[tuple[str, str, str]]:
    found = (await backup.customer.get("/v1/decisions")).json()["items"]
    return [(each["verdict"], each["clause"], each["agreement_version"]) for each in found]


async def test_a_registered_service_is_backed_up_at_once_and_then_every_24_hours(
    lifecycle: Story, backup: World
) -> None:
    """Given an accepted agreement, when its service is registered, then its servers are backed up daily. Clause 2.2."""
    await served(lifecycle, backup)
    for _ in range(2):
        await backup.service.advance(by=DAY)
    [started] = await backup.told(ProtectionStarted)
    assert (started.every_hours, await decided(backup)) == (24, [("started", "2.2", "2026-1")])
    slots = [run.slot_at for run in await backup.told(BackupCompleted)]
    assert [slot - slots[0] for slot in slots] == [0 * DAY, DAY, 2 * DAY]


async def test_a_server_of_an_unpaid_contract_is_not_backed_up(lifecycle: Story, backup: World) -> None:
    """Given an accepted agreement that nobody paid for, then there is no backup: no service is registered. 2.2, 3.2."""
    await lifecycle.accepted()
    backup.customer_id, backup.server_id = lifecycle.customer_id, UUID(lifecycle.server_ids[0])
    await passed_on(lifecycle, backup, ServerRegistered)
    await backup.put_file()
    await passed_on(lifecycle, backup, ServiceRegistered)
    await backup.service.advance(by=2 * DAY)
    assert (await backup.told(ProtectionStarted), backup.snapshots()) == ([], 0)


async def test_an_agreement_with_another_number_is_kept_to(
    lifecycle: Story, backup: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given an agreement that says every 6 hours, when a day has passed, then there are five backups. Clause 2.2."""
    with_parameters(monkeypatch, local_backup_every_hours=6)
    await served(lifecycle, backup)
    for _ in range(4):
        await backup.service.advance(by=6 * HOUR)
    assert len(await backup.told(BackupCompleted)) == 5


async def test_a_file_comes_back_within_four_hours_or_the_record_says_that_it_did_not(
    lifecycle: Story, backup: World
) -> None:
    """Given a backup, when restores end after one hour and after five, then one was within the target. Clause 2.2."""
    await served(lifecycle, backup)
    for waited in (1, 5):
        assert (await backup.ask_restore()).status_code == 201
        await backup.service.advance(by=waited * HOUR)
    restores = (await backup.customer.get("/v1/restores")).json()["items"]
    assert [each["within_target"] for each in restores] == [True, False]
    assert (await decided(backup))[1:] == [("within-target", "2.2", "2026-1"), ("late", "2.2", "2026-1")]


async def test_a_missed_backup_is_known_without_anybody_looking(lifecycle: Story, backup: World) -> None:
    """Given a server that cannot be backed up, when its slot is an hour old, then it is overdue. Clause 2.2."""
    await served(lifecycle, backup)
    backup.restic.trouble = ResticFailed("the disk is gone")
    await backup.service.advance(by=DAY + HOUR)
    assert (await backup.protection())["overdue"] is True


async def test_after_the_service_the_backups_are_kept_for_30_days_and_then_deleted(
    lifecycle: Story, backup: World
) -> None:
    """Given a service that ended, then its data is there to restore for 30 days, and not a day longer. Clause 2.2."""
    await served(lifecycle, backup)
    await lifecycle.until(END)
    await backup.service.advance(to=END)
    await passed_on(lifecycle, backup, ServiceExpired)
    [ended] = await backup.told(ProtectionEnded)
    assert ended.retain_until == END + 30 * DAY
    await backup.service.advance(to=END + 30 * DAY - HOUR)
    assert (await backup.ask_restore()).status_code == 201
    assert await backup.told(BackupDataDeleted) == []
    await backup.service.advance(to=END + 30 * DAY)
    assert (len(await backup.told(BackupDataDeleted)), backup.snapshots()) == (1, 0)
    answer = await backup.ask_restore()
    assert (answer.status_code, answer.json()["clause"]) == (409, "2.2")
