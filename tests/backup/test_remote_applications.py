"""Remote backup on the customer's application: a second protection that lives as long as the service and the word."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from services.backup.gateways.fake_restic import FakeRestic
from services.backup.gateways.restic import ResticFailed
from shared.events.backup import (
    BackupCompleted,
    ProtectionStarted,
    RemoteBackupApplied,
    RemoteBackupApproved,
    RemoteBackupDeclined,
    RemoteBackupEnded,
)
from shared.events.envelope import Fact
from shared.kernel.ids import new_id
from shared.kit.auth import Role
from tests.backup.world import REMOTELY_EVERY_HOURS, RETENTION_DAYS, World

DAY = timedelta(days=1)
Afar = tuple[World, FakeRestic]


async def test_an_approved_application_has_a_rhythm_and_a_repository_of_its_own(afar: Afar) -> None:
    world, place = afar
    await world.begin()
    application = (await world.apply()).json()
    assert (application["status"], application["agreement_version"]) == ("applied", "2026-01")
    await world.service.advance(by=DAY)
    assert place.repositories == {}
    assert (await world.answer(application["id"], "approve")).status_code == 200
    await world.service.run_due()
    for _ in range(4):
        await world.service.advance(by=DAY)
    remote = await world.protection_at("remote")
    assert remote is not None
    assert (remote["every_hours"], remote["status"]) == (REMOTELY_EVERY_HOURS, "active")
    assert [len(kept) for kept in place.repositories.values()] == [3]
    assert world.snapshots() == 6
    started = await world.told(ProtectionStarted)
    assert [(fact.place, fact.every_hours) for fact in started] == [("local", 24), ("remote", REMOTELY_EVERY_HOURS)]
    assert {fact.place for fact in await world.told(BackupCompleted)} == {"local", "remote"}
    assert len(await world.told(RemoteBackupApplied)) == len(await world.told(RemoteBackupApproved)) == 1


async def test_without_a_remote_place_nothing_can_be_approved(world: World) -> None:
    await world.begin()
    application = (await world.apply()).json()["id"]
    answer = await world.answer(application, "approve")
    assert (answer.status_code, answer.json()["code"], answer.json()["clause"]) == (409, "NoRemotePlace", "2.3")
    assert "MAINSTAY_BACKUP_REMOTE_REPOSITORIES" in answer.json()["title"]
    assert (await world.customer.get(f"/v1/remote-applications/{application}")).json()["status"] == "applied"
    assert await world.protection_at("remote") is None


async def test_an_agreement_that_does_not_tell_how_often_waits(afar: Afar) -> None:
    """A fact of before remote backup was told has no interval; the next period's has."""
    world, _ = afar
    await world.service.tell(world.server_registered())
    await world.put_file()
    await world.service.tell(world.service_registered(remote_backup_every_hours=None))
    application = (await world.apply()).json()["id"]
    answer = await world.answer(application, "approve")
    assert (answer.status_code, answer.json()["code"]) == (409, "IntervalUnknown")
    await world.service.tell(world.service_renewed())
    assert (await world.answer(application, "approve")).status_code == 200


async def test_a_declined_application_backs_nothing_up(afar: Afar) -> None:
    world, place = afar
    await world.begin()
    application = (await world.apply()).json()["id"]
    assert (await world.answer(application, "decline", {"reason": "because"})).status_code == 422
    assert (await world.answer(application, "decline", {"reason": "no-capacity"})).status_code == 200
    await world.service.advance(by=3 * DAY)
    assert place.repositories == {}
    [told] = await world.told(RemoteBackupDeclined)
    assert told.reason == "no-capacity"
    again = await world.answer(application, "approve")
    assert (again.status_code, again.json()["code"]) == (409, "IllegalMove")
    assert (await world.apply()).status_code == 201


async def test_a_renewal_keeps_it_and_takes_the_new_interval(afar: Afar) -> None:
    world, _ = afar
    await world.begin()
    await world.remotely()
    await world.service.tell(world.service_renewed(remote_backup_every_hours=12))
    remote = await world.protection_at("remote")
    assert remote is not None
    assert (remote["every_hours"], remote["period_index"], remote["status"]) == (12, 2, "active")
    await world.service.tell(world.service_renewed(3, remote_backup_every_hours=None))
    remote = await world.protection_at("remote")
    assert remote is not None
    assert (remote["every_hours"], remote["period_index"]) == (12, 3)


async def test_it_ends_with_the_service_and_comes_back_with_it(afar: Afar) -> None:
    world, place = afar
    await world.begin()
    await world.remotely()
    await world.service.tell(world.service_expired(ended_at=world.now + DAY))
    for where in ("local", "remote"):
        protection = await world.protection_at(where)
        assert protection is not None
        assert protection["status"] == "ended"
    await world.service.tell(world.service_extended(world.now + 40 * DAY, was_ended=True))
    remote = await world.protection_at("remote")
    assert remote is not None
    assert remote["status"] == "active"
    await world.service.tell(world.service_refunded(ended_at=world.now + 2 * DAY))
    await world.service.advance(by=(RETENTION_DAYS + 3) * DAY)
    assert (place.repositories, world.snapshots()) == ({}, 0)


async def test_given_up_it_is_kept_for_the_agreements_days_while_local_backup_goes_on(afar: Afar) -> None:
    world, place = afar
    await world.begin()
    application = await world.remotely()
    assert (await world.answer(application, "give-up", {"channel": "phone"})).json()["code"] == "OralRequest"
    assert (await world.answer(application, "give-up", {"channel": "email"})).json()["status"] == "ended"
    await world.service.tell(world.service_renewed())
    await world.service.advance(by=(RETENTION_DAYS - 1) * DAY)
    assert [len(kept) for kept in place.repositories.values()] == [1]
    await world.service.advance(by=2 * DAY)
    assert place.repositories == {}
    local = await world.protection_at("local")
    assert local is not None
    assert local["status"] == "active"
    assert len(await world.told(RemoteBackupEnded)) == 1
    assert (await world.remotely()) != application


async def test_a_remote_backup_can_be_restored(afar: Afar) -> None:
    world, _ = afar
    await world.begin()
    await world.remotely()
    remote = await world.protection_at("remote")
    assert remote is not None
    [run] = (await world.support.get(f"/v1/protections/{remote['id']}/runs")).json()["items"]
    files = await world.customer.get(f"/v1/runs/{run['id']}/files")
    assert [each["path"] for each in files.json()["items"]] == ["etc/app.conf"]
    restore = (await world.ask_restore(run_id=run["id"])).json()
    await world.service.run_due()
    assert (await world.customer.get(f"/v1/restores/{restore['id']}")).json()["status"] == "completed"


async def test_a_remote_place_that_fails_is_overdue_like_a_local_one(afar: Afar) -> None:
    world, place = afar
    await world.begin()
    await world.remotely()
    place.trouble = ResticFailed("the line is down")
    await world.service.advance(by=timedelta(hours=REMOTELY_EVERY_HOURS + 2))
    overdue = {each["place"]: each["overdue"] for each in await world.protections()}
    assert overdue == {"local": False, "remote": True}


@pytest.mark.parametrize("channel", ["phone", ""])
async def test_it_is_applied_for_in_writing(world: World, channel: str) -> None:
    await world.begin()
    answer = await world.apply(channel=channel)
    assert answer.status_code == 422
    assert (await world.customer.get("/v1/remote-applications")).json()["items"] == []


async def test_only_a_served_server_of_ones_own_is_applied_for(world: World) -> None:
    await world.service.tell(world.server_registered())
    answer = await world.apply()
    assert (answer.status_code, answer.json()["code"], answer.json()["clause"]) == (409, "NotServed", "3.2")
    assert (await world.apply(server_id=str(new_id()))).json()["code"] == "NoSuchServer"
    other = world.service.as_role(Role.CUSTOMER, customer_id=new_id())
    body = {"server_id": str(world.server_id), "channel": "portal"}
    assert (await other.post("/v1/remote-applications", json=body)).status_code == 404
    await world.begin()
    application = (await world.apply()).json()["id"]
    assert (await other.get(f"/v1/remote-applications/{application}")).status_code == 404
    taken = await other.post(f"/v1/remote-applications/{application}/give-up", json={"channel": "portal"})
    assert (taken.status_code, taken.json()["code"]) == (404, "NoSuchApplication")


async def test_of_many_applications_at_once_one_stands_and_it_is_answered_once(afar: Afar) -> None:
    world, _ = afar
    await world.begin()
    answers = await asyncio.gather(*(world.apply() for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    [application] = [answer.json()["id"] for answer in answers if answer.is_success]
    verbs = [("approve", None), ("decline", {"reason": "unlawful"}), ("give-up", {"channel": "portal"})] * 2
    await asyncio.gather(*(world.answer(application, verb, body) for verb, body in verbs))
    ends: list[type[Fact]] = [RemoteBackupApproved, RemoteBackupDeclined, RemoteBackupEnded]
    told = [fact.kind for kind in ends for fact in await world.told(kind)]
    assert [kind.removeprefix("remote-backup-") for kind in told] in (["declined"], ["ended"], ["approved", "ended"])
