"""2.3 Remote backup: only on the customer's application, and once it is approved as often as the agreement says."""

from datetime import timedelta

import pytest

from services.backup.gateways.fake_restic import FakeRestic
from shared.events.backup import ProtectionStarted, RemoteBackupApproved
from tests.backup.world import World
from tests.contracts.stories.lifecycle import LifecycleStory as Story
from tests.contracts.stories.refunds import with_parameters
from tests.contracts.stories.test_clause_2_2 import served

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

DAY = timedelta(days=1)


async def test_nothing_leaves_for_a_remote_place_without_an_application(
    lifecycle: Story, backup: World, remote_place: FakeRestic
) -> None:
    """Given a served server and a remote place, when nobody applies, then there are local backups only. Clause 2.3."""
    await served(lifecycle, backup)
    for _ in range(3):
        await backup.service.advance(by=DAY)
    assert (backup.snapshots(), remote_place.repositories) == (4, {})


async def test_once_it_is_approved_the_server_is_backed_up_remotely_every_24_hours(
    lifecycle: Story, backup: World, remote_place: FakeRestic
) -> None:
    """Given an application in writing, when support approves it, then remote backups are made daily. Clause 2.3."""
    await served(lifecycle, backup)
    application = await backup.remotely()
    for _ in range(2):
        await backup.service.advance(by=DAY)
    assert [len(kept) for kept in remote_place.repositories.values()] == [3]
    [approved] = await backup.told(RemoteBackupApproved)
    assert (approved.every_hours, approved.agreement_version) == (24, "2026-1")
    decided = (await backup.customer.get("/v1/decisions", params={"subject_id": application})).json()["items"]
    assert [(each["kind"], each["verdict"], each["clause"], each["agreement_version"]) for each in decided] == [
        ("remote-application.decide", "approved", "2.3", "2026-1")
    ]


async def test_an_agreement_with_another_number_is_kept_to(
    lifecycle: Story, backup: World, remote_place: FakeRestic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given an agreement that says every 6 hours, then a day has five remote backups. Clause 2.3."""
    with_parameters(monkeypatch, remote_backup_every_hours=6)
    await served(lifecycle, backup)
    await backup.remotely()
    for _ in range(4):
        await backup.service.advance(by=timedelta(hours=6))
    assert [len(kept) for kept in remote_place.repositories.values()] == [5]


async def test_what_is_not_approved_is_not_done(lifecycle: Story, backup: World, remote_place: FakeRestic) -> None:
    """Given an application that waits, and then is declined with its reason, then nothing leaves. Clause 2.3."""
    await served(lifecycle, backup)
    application = (await backup.apply()).json()["id"]
    await backup.service.advance(by=DAY)
    await backup.answer(application, "decline", {"reason": "unlawful"})
    await backup.service.advance(by=DAY)
    assert remote_place.repositories == {}
    assert [fact.place for fact in await backup.told(ProtectionStarted)] == ["local"]


async def test_the_customer_may_give_it_up_in_writing(
    lifecycle: Story, backup: World, remote_place: FakeRestic
) -> None:
    """Given remote backup, when the customer gives it up, then its data is deleted after 30 days, and no local one."""
    await served(lifecycle, backup)
    application = await backup.remotely()
    assert (await backup.answer(application, "give-up", {"channel": "email"})).status_code == 200
    await backup.service.advance(by=27 * DAY)
    assert [len(kept) for kept in remote_place.repositories.values()] == [1]
    await backup.service.advance(by=4 * DAY)
    assert remote_place.repositories == {}
    assert backup.snapshots() > 0
