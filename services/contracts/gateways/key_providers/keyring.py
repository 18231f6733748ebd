"""Several providers as one: the first wraps, and each unwraps what it wrapped."""

from __future__ import annotations

from collections.abc import Sequence

from services.contracts.gateways.key_providers.provider import KeyProvider, KeyUnknown, WrappedKey


class Keyring:
    """An installation that moves from a file to Vault opens what the file wrapped until a rotation is through."""

    def __init__(self, used: KeyProvider, *before: KeyProvider) -> None:
        self.used = used
        self._all = (used, *before)

    def keeps(self, key_id: str) -> bool:
        return any(each.keeps(key_id) for each in self._all)

    async def current(self) -> str:
        return await self.used.current()

    async def wrap(self, data_key: bytes, *, make: bool) -> WrappedKey:
        return await self.used.wrap(data_key, make=make)

    async def unwrap(self, wrapped: WrappedKey) -> bytes:
        for each in self._all:
            if each.keeps(wrapped.key_id):
                return await each.unwrap(wrapped)
        raise KeyUnknown(f"nothing here keeps {wrapped.key_id}")

    async def rewrap(self, wrapped: Sequence[WrappedKey]) -> list[WrappedKey]:
        own = [each for each in wrapped if self.used.keeps(each.key_id)]
        rewrapped = dict(zip(map(id, own), await self.used.rewrap(own), strict=True))
        return [
            rewrapped.get(id(each)) or await self.used.wrap(await self.unwrap(each), make=False) for each in wrapped
        ]

    async def succeed(self) -> None:
        await self.used.succeed()

    async def retire(self) -> None:
        await self.used.retire()
