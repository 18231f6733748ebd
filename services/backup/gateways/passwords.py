"""What opens a repository: passwords that are added to it and taken away again."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from services.backup.domain.protection import Place
from services.backup.gateways.restic import DeletionRefused, NoRepository, Repository, WrongPassword
from services.backup.gateways.restic_client import ResticClient
from services.backup.gateways.restic_program import lines


class Passwords(Protocol):
    """Every method raises ResticMissing, ResticFailed and, where it writes, RepositoryBusy."""

    def on_disk(self) -> Sequence[Repository]:
        """Repositories that can be listed without knowing of them."""
        ...

    async def opens(self, repository: Repository, password: str) -> bool | None:
        """Whether the password opens it; None when there is no such repository."""
        ...

    async def add(self, repository: Repository, password: str) -> None:
        """Have the password open it as well."""
        ...

    async def remove(self, repository: Repository, password: str) -> None:
        """Have the password not open it any more; nothing when it does not. Raises DeletionRefused."""
        ...


class ResticPasswords:
    """By the real program; passwords go to it through the environment and a pipe."""

    def __init__(self, client: ResticClient) -> None:
        self._client = client

    def on_disk(self) -> list[Repository]:
        return self._client.on_disk()

    async def opens(self, repository: Repository, password: str) -> bool | None:
        try:
            async with self._client._session(repository, password=password) as session:
                await session.run("cat", "config", "--no-lock")
        except NoRepository:
            return None
        except WrongPassword:
            return False
        return True

    async def add(self, repository: Repository, password: str) -> None:
        # The program inherits the descriptor in the place of a lock's.
        with _in_memory(password) as descriptor:
            async with self._client._session(repository, descriptor) as session:
                await session.unlock()
                await session.run("key", "add", "--new-password-file", f"/proc/self/fd/{descriptor}")

    async def remove(self, repository: Repository, password: str) -> None:
        with self._client._locked(repository) as lock:
            key_id = await self._key_of(repository, password)
            if key_id is None:
                return
            async with self._client._deleting(repository, lock) as session:
                await session.unlock()
                try:
                    await session.run("key", "remove", key_id)
                except DeletionRefused:
                    await session.unlock()
                    raise

    async def _key_of(self, repository: Repository, password: str) -> str | None:
        """The id of the key that this password opens."""
        found: list[dict[str, Any]] = []
        try:
            async with self._client._session(repository, password=password) as session:
                await session.run("key", "list", "--json", sink=lines(found.append))
        except (WrongPassword, NoRepository):
            return None
        return next(str(key["id"]) for key in found if key["current"])


class PasswordsByPlace:
    """Each place's own."""

    def __init__(self, places: Mapping[Place, Passwords]) -> None:
        self._places = places

    def on_disk(self) -> list[Repository]:
        return [repository for passwords in self._places.values() for repository in passwords.on_disk()]

    async def opens(self, repository: Repository, password: str) -> bool | None:
        return await self._places[repository.place].opens(repository, password)

    async def add(self, repository: Repository, password: str) -> None:
        await self._places[repository.place].add(repository, password)

    async def remove(self, repository: Repository, password: str) -> None:
        await self._places[repository.place].remove(repository, password)


@contextmanager
def _in_memory(secret: str) -> Iterator[int]:
    """A file without a name that holds the secret."""
    descriptor = os.memfd_create("password")
    try:
        os.write(descriptor, secret.encode())
        yield descriptor
    finally:
        os.close(descriptor)
