"""Files of servers over HTTP."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from services.backup.api.files import LARGEST_FILE
from services.backup.gateways.restic import ResticMissing
from shared.kernel.ids import new_id
from shared.kit.auth import Role
from tests.backup.world import World

# Files know no database: one is enough.
pytestmark = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)

OCTETS = {"content-type": "application/octet-stream"}


async def test_a_file_is_stored_listed_replaced_and_removed(world: World) -> None:
    await world.service.tell(world.server_registered())
    answer = await world.put_file("a/b.txt", b"one")
    assert answer.json() == {"path": "a/b.txt", "bytes": 3, "sha256": hashlib.sha256(b"one").hexdigest()}
    await world.put_file("a/b.txt", b"second")
    await world.put_file("c.txt", b"")
    listed = await world.customer.get(f"/v1/servers/{world.server_id}/files")
    assert listed.json()["items"] == [{"path": "a/b.txt", "bytes": 6}, {"path": "c.txt", "bytes": 0}]
    url = f"/v1/servers/{world.server_id}/files/a/b.txt"
    assert (await world.customer.delete(url)).status_code == 204
    assert (await world.customer.delete(url)).json()["code"] == "NoSuchFile"


async def test_a_list_comes_in_pages(world: World) -> None:
    await world.service.tell(world.server_registered())
    names = ["a", "b/c", "b/d", "e"]
    for name in names:
        await world.put_file(name)
    seen: list[str] = []
    after: str | None = None
    while True:
        parameters = {"limit": "2"} | ({"after": after} if after else {})
        page = (await world.customer.get(f"/v1/servers/{world.server_id}/files", params=parameters)).json()
        seen += [item["path"] for item in page["items"]]
        after = page["next_after"]
        if after is None:
            break
    assert seen == names


@pytest.mark.parametrize("path", ["%2e%2e/x", "a/%2e%2e/b", "a%00b", "%2Fetc%2Fpasswd", "a%07b", ".mainstay-x", "a//b"])
async def test_a_path_out_of_the_folder_is_refused(world: World, path: str) -> None:
    await world.service.tell(world.server_registered())
    answer = await world.put_file(path)
    assert (answer.status_code, answer.json()["code"]) == (422, "UnusablePath")
    assert not (world.service.runtime.data_dir / "sources").exists()


async def test_a_server_not_known_yet_or_of_another_customer_is_not_found(world: World) -> None:
    assert (await world.put_file()).status_code == 404
    await world.service.tell(world.server_registered())
    stranger = world.service.as_role(Role.CUSTOMER, customer_id=new_id())
    url = f"/v1/servers/{world.server_id}/files/a"
    answer = await stranger.put(url, content=b"x", headers=OCTETS)
    assert (answer.status_code, answer.json()["code"]) == (404, "NoSuchServer")
    technician = world.service.as_role(Role.TECHNICIAN)
    assert (await technician.put(url, content=b"x", headers=OCTETS)).status_code == 200
    assert (await world.support.put(url, content=b"x", headers=OCTETS)).status_code == 403


async def test_another_media_type_is_refused(world: World) -> None:
    await world.service.tell(world.server_registered())
    url = f"/v1/servers/{world.server_id}/files/a"
    answer = await world.customer.put(url, content=b"x", headers={"content-type": "text/plain"})
    assert (answer.status_code, answer.json()["code"]) == (415, "WrongMediaType")


async def test_a_file_that_is_too_large_is_refused_and_not_stored(world: World) -> None:
    await world.service.tell(world.server_registered())
    answer = await world.put_file("big", bytes(LARGEST_FILE + 1))
    assert (answer.status_code, answer.json()["code"]) == (413, "TooLarge")
    assert not (world.service.runtime.data_dir / "sources").exists()


async def test_a_link_is_never_followed_out_of_the_folder(world: World, tmp_path: Path) -> None:
    await world.service.tell(world.server_registered())
    await world.put_file("kept")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    folder = world.gateways.files.source_folder(world.server_id)
    (folder / "link").symlink_to(outside)
    (folder / "direct").symlink_to(outside / "secret")
    answer = await world.put_file("link/secret", b"overwritten")
    assert (answer.status_code, answer.json()["code"]) == (409, "PathInUse")
    url = f"/v1/servers/{world.server_id}/files"
    assert (await world.customer.delete(f"{url}/link/secret")).status_code == 404
    assert (await world.put_file("direct", b"mine")).status_code == 200
    assert (outside / "secret").read_text() == "secret"
    listed = [item["path"] for item in (await world.customer.get(url)).json()["items"]]
    assert listed == ["direct", "kept"]


async def test_a_file_and_a_folder_do_not_share_a_name(world: World) -> None:
    await world.service.tell(world.server_registered())
    await world.put_file("a/b")
    assert (await world.put_file("a")).json()["code"] == "PathInUse"
    assert (await world.put_file("a/b/c")).json()["code"] == "PathInUse"
    assert not list(world.gateways.files.source_folder(world.server_id).rglob(".mainstay-*"))


async def test_everything_but_backups_works_while_restic_is_away(world: World) -> None:
    world.restic.trouble = ResticMissing()
    await world.begin()
    assert (await world.service.anonymous().get("/readyz")).status_code == 200
    assert (await world.protection())["status"] == "active"
    assert (await world.ask_restore()).json()["code"] == "NothingToRestore"
