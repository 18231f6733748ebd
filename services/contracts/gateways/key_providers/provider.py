"""What wraps the data keys of the vault: a key that is kept outside the database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol


class KeyUnknown(Exception):
    """The key that wrapped this is not there, or it is not what that key wrapped."""


class KeyStoreAway(Exception):
    """What keeps the key does not answer, or refuses us."""


@dataclass(frozen=True)
class WrappedKey:
    """`key_id` names the key that wrapped it, and opens nothing."""

    key_id: str
    content: bytes = field(repr=False)


class KeyProvider(Protocol):
    """Every method raises KeyStoreAway. None is called inside a transaction: some ask a third party."""

    def keeps(self, key_id: str) -> bool:
        """Whether a key of that name can be one of this provider's."""
        ...

    async def current(self) -> str:
        """The name of the key in use; raises KeyUnknown when there is none yet."""
        ...

    async def wrap(self, data_key: bytes, *, make: bool) -> WrappedKey:
        """By the key in use; `make` one where nothing has been wrapped yet. Raises KeyUnknown."""
        ...

    async def unwrap(self, wrapped: WrappedKey) -> bytes:
        """Raises KeyUnknown."""
        ...

    async def rewrap(self, wrapped: Sequence[WrappedKey]) -> list[WrappedKey]:
        """The same data keys, in order, by the key in use; raises KeyUnknown when one of them does not unwrap."""
        ...

    async def succeed(self) -> None:
        """Have a new key in use, unless one has just taken over whose predecessor is still there."""
        ...

    async def retire(self) -> None:
        """Nothing is wrapped by a key before the one in use any more: give those up."""
        ...
