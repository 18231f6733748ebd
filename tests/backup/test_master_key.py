"""The master key and its successor: backups go on, every repository changes hands, and a kill costs nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from services.backup.domain.protection import LOCAL, REMOTE
from services.backup.gateways.fake_restic import FakeRestic
from services.backup.gateways.keys import KEY_BYTES, GivenFromOutside, KeyMissing, RepositoryKeys
from services.backup.gateways.passwords import PasswordsByPlace
from services.backup.gateways.restic import Repository, ResticFailed
from services.backup.use_cases.master_key import NotEverywhere, Outcome, rotate
from shared.kernel.ids import new_id
from shared.kit.db import Database
from tests.backup.world import World

pytestmark = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)


class Killed(BaseException):
    """In place of the death of the process."""


@pytest.fixture
async def kept(world: World, tmp_path: Path) -> list[Repository]:
    """Repositories with a backup each; the database knows of none."""
    world.restic.keys = RepositoryKeys(tmp_path / "master" / "backup.key")
    folder = tmp_path / "source"
    folder.mkdir()
    repositories = [Repository(new_id(), new_id()) for _ in range(3)]
    for repository in repositories:
        await world.restic.back_up(repository, folder, tag="run:1", at=world.now)
    return repositories


def keys_of(world: World) -> RepositoryKeys:
    assert world.restic.keys is not None
    return world.restic.keys


async def rotated(world: World, restic: FakeRestic | None = None, told: Callable[..., None] | None = None) -> Outcome:
    database: Database = world.service.runtime.database
    return await rotate(database, keys_of(world), restic or world.restic, told or (lambda *_: None))


def opens_with_the_key_alone(world: World, repositories: list[Repository]) -> bool:
    keys = keys_of(world)
    return all(world.restic.words[each] == {keys.password_of(each.name)} for each in repositories)


async def test_every_repository_opens_with_the_new_key_and_no_other(world: World, kept: list[Repository]) -> None:
    before, heard = keys_of(world).name, []
    outcome = await rotated(world, told=lambda *told: heard.append(told))
    assert (outcome.repositories, outcome.complete) == (3, True)
    assert keys_of(world).name != before
    assert opens_with_the_key_alone(world, kept)
    assert [file.name for file in keys_of(world).file.parent.iterdir()] == ["backup.key"]
    assert heard[2] == ("Giving repositories the new key", 3, 3)
    assert heard[5] == ("Taking the old key from repositories", 3, 3)


async def test_a_repository_made_meanwhile_changes_hands_as_well(world: World, kept: list[Repository]) -> None:
    late = Repository(new_id(), new_id())

    def told(what: str, done: int, total: int) -> None:
        if (what, done) == ("Giving repositories the new key", total):
            world.restic.repositories[late] = {}
            world.restic.words[late] = {keys_of(world).password_of(late.name)}

    assert (await rotated(world, told=told)).repositories == 4
    assert opens_with_the_key_alone(world, [*kept, late])


@pytest.mark.parametrize("step", ["opens", "add", "remove", "begin", "switch", "forget_retired"])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_rotation_killed_anywhere_goes_on_where_it_was(
    world: World, kept: list[Repository], monkeypatch: pytest.MonkeyPatch, step: str, when: str
) -> None:
    of: Any = keys_of(world) if hasattr(RepositoryKeys, step) else world.restic
    real, calls = getattr(of, step), 0

    def dying(*arguments: Any) -> Any:
        if when == "after":
            real(*arguments)
        raise Killed

    async def dying_at_the_second(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if when == "before" and calls == 2:
            raise Killed
        outcome = await real(*arguments)
        if calls == 2:
            raise Killed
        return outcome

    monkeypatch.setattr(of, step, dying_at_the_second if of is world.restic else dying)
    with pytest.raises((Killed, BaseExceptionGroup)):
        await rotated(world)
    monkeypatch.undo()
    keys = keys_of(world)
    for repository in kept:
        assert world.restic.words[repository] & set(keys.passwords_of(repository.name)), "backups go on meanwhile"
    if not (step == "forget_retired" and when == "after"):
        assert (await rotated(world)).complete
    assert opens_with_the_key_alone(world, kept)
    assert [file.name for file in keys.file.parent.iterdir()] == ["backup.key"]


async def test_the_key_before_stays_in_use_until_every_repository_has_the_new_one(
    world: World, kept: list[Repository]
) -> None:
    class Damaged(FakeRestic):
        async def add(self, repository: Repository, password: str) -> None:
            if repository == kept[0]:
                raise ResticFailed("key ended with 1: the disk is full")
            await super().add(repository, password)

    damaged, before = Damaged(**vars(world.restic)), keys_of(world).name
    with pytest.raises(NotEverywhere, match=r"1 of 3 repositories .* the disk is full"):
        await rotated(world, damaged)
    assert keys_of(world).name == before
    assert (await rotated(world)).complete
    assert opens_with_the_key_alone(world, kept)


async def test_where_nothing_may_be_deleted_the_rotation_says_so_and_can_be_finished_later(
    world: World, kept: list[Repository]
) -> None:
    world.restic.takes_additions_only = True
    outcome = await rotated(world)
    assert (outcome.refused, set(outcome.stays)) == (True, set(kept))
    in_use = keys_of(world).name
    world.restic.takes_additions_only = False
    assert (await rotated(world)).complete
    assert keys_of(world).name == in_use, "the second run only finished the first"
    assert opens_with_the_key_alone(world, kept)


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys come from outside."""
    monkeypatch.setattr(RepositoryKeys, "is_given", True)


def give_successor(keys: RepositoryKeys) -> None:
    keys.retired.write_bytes(keys.file.read_bytes())
    keys.file.write_bytes(os.urandom(KEY_BYTES))


@pytest.mark.usefixtures("given")
async def test_a_key_that_was_given_takes_the_place_of_the_one_before(world: World, kept: list[Repository]) -> None:
    keys, before = keys_of(world), keys_of(world).name
    give_successor(keys)
    in_use = keys.name
    assert keys.name_before == before
    world.restic.takes_additions_only = True
    assert set((await rotated(world)).stays) == set(kept)
    world.restic.takes_additions_only = False
    for _ in range(2):
        assert (await rotated(world)).complete
        assert opens_with_the_key_alone(world, kept)
    assert keys.name == in_use
    assert keys.is_retiring, "only who gave the file can take it away"


@pytest.mark.usefixtures("given")
@pytest.mark.parametrize("beside", [None, b"", "the same"], ids=["nothing", "an empty file", "the key itself"])
async def test_a_key_that_was_given_has_no_successor_of_our_own(
    world: World, kept: list[Repository], beside: bytes | str | None
) -> None:
    keys = keys_of(world)
    if beside is not None:
        keys.retired.write_bytes(keys.file.read_bytes() if isinstance(beside, str) else beside)
    files = set(keys.file.parent.iterdir())
    with pytest.raises(GivenFromOutside):
        await rotated(world)
    assert set(keys.file.parent.iterdir()) == files
    assert opens_with_the_key_alone(world, kept)


@pytest.mark.usefixtures("given")
async def test_half_a_key_before_the_one_in_use_stops_the_rotation_at_once(
    world: World, kept: list[Repository]
) -> None:
    give_successor(keys_of(world))
    keys_of(world).retired.write_bytes(b"half")
    with pytest.raises(KeyMissing, match=r"backup\.key\.retired holds fewer than 32 bytes"):
        keys_of(world).insist_on_successor()


async def test_repositories_of_both_places_change_hands(world: World, kept: list[Repository], tmp_path: Path) -> None:
    afar = FakeRestic(keys=keys_of(world))
    remote = Repository(new_id(), new_id(), REMOTE)
    await afar.back_up(remote, tmp_path / "source", tag="run:1", at=world.now)
    passwords = PasswordsByPlace({LOCAL: world.restic, REMOTE: afar})
    outcome = await rotate(world.service.runtime.database, keys_of(world), passwords, lambda *_: None)
    assert (outcome.repositories, outcome.complete) == (4, True)
    assert opens_with_the_key_alone(world, kept)
    assert afar.words[remote] == {keys_of(world).password_of(remote.name)}
