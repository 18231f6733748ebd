"""Passwords of repositories come and go: one contract for the real restic and the fake one."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.backup.gateways.fake_restic import FakeRestic
from services.backup.gateways.keys import RepositoryKeys
from services.backup.gateways.passwords import Passwords, ResticPasswords
from services.backup.gateways.restic import DeletionRefused, Repository, Restic
from services.backup.gateways.restic_client import ResticClient
from shared.kernel.ids import new_id
from tests.infrastructure.rest_repositories import additions_only
from tests.infrastructure.restic import ResticBinary

AT = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
REPOSITORY = Repository(new_id(), new_id())


@pytest.fixture
def keys(tmp_path: Path) -> RepositoryKeys:
    return RepositoryKeys(tmp_path / "keys" / "backup.key")


@pytest.fixture(params=["fake", "real"])
def restic(request: pytest.FixtureRequest, tmp_path: Path, keys: RepositoryKeys) -> Restic:
    if request.param == "fake":
        return FakeRestic(keys=keys)
    binary: ResticBinary = request.getfixturevalue("restic_binary")
    return ResticClient(binary.path, base=str(tmp_path / "repositories"), keys=keys, state=tmp_path / "state")


def passwords_at(restic: Restic) -> Passwords:
    return ResticPasswords(restic) if isinstance(restic, ResticClient) else restic  # type: ignore[return-value]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "file").write_bytes(b"content")
    return folder


async def test_a_repository_opens_with_what_was_added_and_not_with_what_was_removed(
    restic: Restic, keys: RepositoryKeys, folder: Path
) -> None:
    passwords = passwords_at(restic)
    assert await passwords.opens(REPOSITORY, "anything") is None
    made = await restic.back_up(REPOSITORY, folder, tag="run:1", at=AT)
    assert list(passwords.on_disk()) == [REPOSITORY]
    keys.begin()
    old, new = keys.password_of(REPOSITORY.name), keys.next_password_of(REPOSITORY.name)
    assert (await passwords.opens(REPOSITORY, old), await passwords.opens(REPOSITORY, new)) == (True, False)
    await passwords.add(REPOSITORY, new)
    keys.switch()
    await passwords.remove(REPOSITORY, old)
    await passwords.remove(REPOSITORY, old)
    assert await passwords.opens(REPOSITORY, old) is False
    keys.forget_retired()
    found = await restic.find(REPOSITORY, "run:1")
    assert found is not None
    assert found.id.startswith(made.id)


async def test_the_key_may_be_replaced_while_the_program_is_used(
    tmp_path: Path, keys: RepositoryKeys, folder: Path, restic_binary: ResticBinary
) -> None:
    client = ResticClient(restic_binary.path, base=str(tmp_path / "repositories"), keys=keys, state=tmp_path / "state")
    await client.back_up(REPOSITORY, folder, tag="run:1", at=AT)
    async with client._session(REPOSITORY) as session:
        session.environment["RESTIC_PASSWORD"] = "of a key that has been removed meanwhile"
        assert [each["tags"] for each in await session.snapshots()] == [["run:1"]]
    keys.begin()
    keys.switch()
    # Made just before the switch: only the retired key opens it.
    assert await client.find(REPOSITORY, "run:1") is not None


async def test_where_nothing_may_be_deleted_a_password_is_added_and_the_old_one_stays(
    tmp_path: Path, keys: RepositoryKeys, folder: Path, restic_binary: ResticBinary
) -> None:
    (tmp_path / "server").mkdir()
    with additions_only(tmp_path / "server") as url:
        client = ResticClient(restic_binary.path, base=url, keys=keys, state=tmp_path / "state")
        passwords = ResticPasswords(client)
        (tmp_path / "server" / str(REPOSITORY.server_id)).mkdir()
        await client.back_up(REPOSITORY, folder, tag="run:1", at=AT)
        keys.begin()
        old = keys.password_of(REPOSITORY.name)
        await passwords.add(REPOSITORY, keys.next_password_of(REPOSITORY.name))
        keys.switch()
        with pytest.raises(DeletionRefused):
            await passwords.remove(REPOSITORY, old)
        assert await client.find(REPOSITORY, "run:1") is not None


def test_a_key_is_given_where_its_file_cannot_be_replaced(tmp_path: Path) -> None:
    assert not RepositoryKeys(tmp_path / "backup.key").is_given
    assert RepositoryKeys(Path("/proc")).is_given, "what is mounted itself, as Compose does with a secret"
