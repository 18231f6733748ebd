"""Requests for restores that are refused, fail, or are discarded."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from services.backup.domain.restore import CONTENT_KEPT_FOR
from services.backup.gateways.restic import ResticFailed, ResticMissing
from services.backup.use_cases import restores as stories
from shared.events.backup import RestoreCompleted
from shared.kernel.ids import new_id
from shared.kit.auth import Role
from tests.backup.world import World


@pytest.mark.parametrize(
    ("changes", "status", "code", "clause"),
    [
        ({"channel": "phone"}, 422, "OralRequest", "3.1"),
        ({"path": "../secret"}, 422, "UnusablePath", None),
        ({"path": ""}, 422, "MalformedRequest", None),
        ({"server_id": str(new_id())}, 404, "NoSuchServer", None),
        ({"run_id": str(new_id())}, 404, "NoSuchRun", None),
        ({"surplus": 1}, 422, "MalformedRequest", None),
    ],
)
async def test_a_request_that_cannot_be_met_is_refused_and_not_stored(
    world: World, changes: dict[str, Any], status: int, code: str, clause: str | None
) -> None:
    await world.begin()
    answer = await world.ask_restore(**changes)
    assert (answer.status_code, answer.json()["code"], answer.json().get("clause")) == (status, code, clause)
    assert (await world.customer.get("/v1/restores")).json()["items"] == []


async def test_without_a_backup_there_is_nothing_to_restore(world: World) -> None:
    await world.begin(files=False)
    answer = await world.ask_restore()
    assert (answer.status_code, answer.json()["code"], answer.json()["clause"]) == (409, "NothingToRestore", "2.2")


async def test_a_path_the_snapshot_lacks_fails_with_its_reason(world: World) -> None:
    await world.begin()
    restore = (await world.ask_restore(path="no/such/file")).json()
    await world.service.run_due()
    found = (await world.customer.get(f"/v1/restores/{restore['id']}")).json()
    assert (found["status"], found["reason"]) == ("failed", "not-in-snapshot")
    content = await world.customer.get(f"/v1/restores/{restore['id']}/content")
    assert (content.status_code, content.json()["code"]) == (409, "NotRestored")
    assert await world.told(RestoreCompleted) == []


async def test_a_restore_that_comes_too_late_says_so(world: World) -> None:
    await world.begin()
    restore = (await world.ask_restore()).json()
    await world.service.advance(by=timedelta(hours=5))
    found = (await world.customer.get(f"/v1/restores/{restore['id']}")).json()
    assert (found["status"], found["within_target"]) == ("completed", False)


async def test_a_restore_waits_for_restic_and_fails_after_many_attempts(world: World) -> None:
    await world.begin()
    restore = (await world.ask_restore()).json()
    url = f"/v1/restores/{restore['id']}"
    world.restic.trouble = ResticMissing()
    await world.service.run_due()
    assert (await world.customer.get(url)).json()["status"] == "requested"
    world.restic.trouble = ResticFailed("broken")
    with pytest.raises(ResticFailed):
        await stories.perform_restore(world.service.runtime, id_of(restore), attempt=1)
    await stories.perform_restore(world.service.runtime, id_of(restore), attempt=stories.MOST_ATTEMPTS)
    assert (await world.customer.get(url)).json()["reason"] == "restic-failed"


async def test_a_restore_performed_twice_is_told_once(world: World) -> None:
    await world.begin()
    restore = (await world.ask_restore()).json()
    for _ in range(2):
        await stories.perform_restore(world.service.runtime, id_of(restore), attempt=1)
    assert len(await world.told(RestoreCompleted)) == 1


async def test_a_restored_copy_is_kept_for_a_while(world: World) -> None:
    await world.begin()
    restore = (await world.ask_restore()).json()
    await world.service.run_due()
    await world.service.advance(by=CONTENT_KEPT_FOR)
    answer = await world.customer.get(f"/v1/restores/{restore['id']}/content")
    assert (answer.status_code, answer.json()["code"]) == (410, "ContentDiscarded")
    assert list(world.service.runtime.data_dir.glob("restores/*")) == []


async def test_a_request_repeated_with_its_key_is_one_restore(world: World) -> None:
    await world.begin()
    body = {"server_id": str(world.server_id), "path": "etc/app.conf", "channel": "api"}
    headers = {"idempotency-key": "once"}
    answers = [await world.customer.post("/v1/restores", json=body, headers=headers) for _ in range(2)]
    assert answers[0].json() == answers[1].json()


async def test_another_customer_sees_nothing_of_all_this(world: World) -> None:
    await world.begin()
    restore = (await world.ask_restore()).json()
    await world.service.run_due()
    (run,) = await world.runs()
    stranger = world.service.as_role(Role.CUSTOMER, customer_id=new_id())
    for path in (
        f"/v1/protections/{run['protection_id']}",
        f"/v1/protections/{run['protection_id']}/runs",
        f"/v1/runs/{run['id']}",
        f"/v1/runs/{run['id']}/files",
        f"/v1/restores/{restore['id']}",
        f"/v1/restores/{restore['id']}/content",
        f"/v1/servers/{world.server_id}/files",
    ):
        assert (await stranger.get(path)).status_code == 404, path
    assert (await stranger.get("/v1/protections")).json()["items"] == []
    assert (await stranger.get("/v1/restores")).json()["items"] == []
    body = {"server_id": str(world.server_id), "path": "etc/app.conf", "channel": "api"}
    assert (await stranger.post("/v1/restores", json=body)).status_code == 404


async def test_support_may_ask_for_a_customer_and_finance_may_not(world: World) -> None:
    await world.begin()
    body = {"server_id": str(world.server_id), "path": "etc/app.conf", "channel": "email"}
    assert (await world.support.post("/v1/restores", json=body)).status_code == 201
    assert (await world.service.as_role(Role.FINANCE).post("/v1/restores", json=body)).status_code == 403


def id_of(restore: dict[str, Any]) -> UUID:
    return UUID(restore["id"])
