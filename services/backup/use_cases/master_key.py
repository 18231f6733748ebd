"""Replacing the master key that every repository's password derives from, while backups go on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from services.backup.db import protections
from services.backup.gateways.keys import RepositoryKeys
from services.backup.gateways.passwords import Passwords
from services.backup.gateways.restic import DeletionRefused, Repository, RepositoryBusy, ResticFailed
from shared.kernel.errors import Conflict
from shared.kit.db import Database

AT_ONCE = 4
"""Repositories worked on side by side: each costs the program about a second of one processor per step."""

Told = Callable[[str, int, int], None]
"""Hears what is being done, with how many of how many repositories it has been done."""


class NotEverywhere(Conflict):
    """Some repositories could not be given the new password; the key before stays in use."""


@dataclass
class Outcome:
    """What a rotation came to; `stays` lists repositories that the key before still opens, with the reason."""

    repositories: int
    stays: dict[Repository, str] = field(default_factory=dict)
    refused: bool = False
    """Whether one of them is where nothing may be deleted, so that to try again is of no use."""

    @property
    def complete(self) -> bool:
        return not self.stays


async def rotate(database: Database, keys: RepositoryKeys, passwords: Passwords, told: Told) -> Outcome:
    """Have every repository open with a new key, use it, and have the one before open none.

    A key that was given together with the one before is in use already. Killed anywhere and called again it goes on
    where it was. Raises NotEverywhere, ResticMissing, KeyMissing, GivenFromOutside.
    """
    if keys.is_beginning or not keys.is_retiring:
        keys.begin()
        await _add_everywhere(await _repositories(database, passwords), keys, passwords, told)
        keys.switch()
    # Again all of them: some were made while the others were given the new password.
    outcome = await _retire_everywhere(await _repositories(database, passwords), keys, passwords, told)
    if outcome.complete:
        keys.forget_retired()
    return outcome


async def _repositories(database: Database, passwords: Passwords) -> list[Repository]:
    """Those that this service knows of, and those that a restored database does not know any more."""
    async with database.reading() as reader:
        known = {Repository(*kept) for kept in await protections.kept(reader)}
    on_disk = await asyncio.to_thread(passwords.on_disk)
    return sorted(known | set(on_disk), key=lambda repository: repository.name)


async def _add_everywhere(
    repositories: Sequence[Repository], keys: RepositoryKeys, passwords: Passwords, told: Told
) -> None:
    async def add(repository: Repository) -> None:
        word = keys.next_password_of(repository.name)
        if await passwords.opens(repository, word) is False:
            await passwords.add(repository, word)
            await _insist_on(repository, word, passwords)

    failed = await _each("Giving repositories the new key", repositories, add, told)
    if failed:
        first, why = next(iter(failed.items()))
        raise NotEverywhere(
            f"{len(failed)} of {len(repositories)} repositories could not be given the new key, so the one before "
            f"stays in use; mend or delete them and run this again. The first is {first.name}: {why}"
        )


async def _retire_everywhere(
    repositories: Sequence[Repository], keys: RepositoryKeys, passwords: Passwords, told: Told
) -> Outcome:
    outcome = Outcome(len(repositories))

    async def retire(repository: Repository) -> None:
        word = keys.password_of(repository.name)
        opens = await passwords.opens(repository, word)
        if opens is None:
            return
        if opens is False:
            await passwords.add(repository, word)
            await _insist_on(repository, word, passwords)
        try:
            await passwords.remove(repository, keys.retired_password_of(repository.name))
        except DeletionRefused:
            outcome.refused = True
            raise

    outcome.stays = await _each("Taking the old key from repositories", repositories, retire, told)
    return outcome


async def _insist_on(repository: Repository, word: str, passwords: Passwords) -> None:
    if not await passwords.opens(repository, word):
        raise ResticFailed("the new password was added and does not open it")


async def _each(
    what: str, repositories: Sequence[Repository], work: Callable[[Repository], Awaitable[None]], told: Told
) -> dict[Repository, str]:
    """Those where it failed, with the reason."""
    failed: dict[Repository, str] = {}
    done, free = 0, asyncio.Semaphore(AT_ONCE)

    async def one(repository: Repository) -> None:
        nonlocal done
        async with free:
            try:
                await work(repository)
            except (ResticFailed, RepositoryBusy) as error:
                failed[repository] = str(error)
        done += 1
        told(what, done, len(repositories))

    async with asyncio.TaskGroup() as group:
        for repository in repositories:
            group.create_task(one(repository))
    return failed
