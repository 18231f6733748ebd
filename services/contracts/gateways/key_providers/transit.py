"""The wrapping key in the transit engine of HashiCorp Vault (or OpenBao), which never gives it out."""

from __future__ import annotations

import base64
import binascii
import re
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from services.contracts.gateways.key_providers.provider import KeyStoreAway, KeyUnknown, WrappedKey
from shared.kit.http_transport import direct_client

PREFIX = "transit:"
ANSWER_SECONDS = 3.0
_CIPHERTEXT = re.compile(r"vault:v(\d{1,9}):[A-Za-z0-9+/=]{1,4096}")


class Transit:
    """`https://host:8200`, mount and key as Vault's operator named them; the key is an AEAD key (aes256-gcm96)."""

    def __init__(self, url: str, token: str, *, mount: str, key: str, ca_file: Path | None = None) -> None:
        self._base = f"{url.rstrip('/')}/v1/{quote(mount)}"
        self._token = token
        self._name = f"{PREFIX}{mount}/{key}"
        self._key = quote(key, safe="")
        self._ca_file = ca_file
        self._context: ssl.SSLContext | None = None

    def keeps(self, key_id: str) -> bool:
        return key_id.startswith(f"{self._name}:v")

    async def current(self) -> str:
        return f"{self._name}:v{(await self._described())['latest_version']}"

    async def wrap(self, data_key: bytes, *, make: bool) -> WrappedKey:
        """Vault's operator makes the key; `make` makes none."""
        data = await self._ask("POST", f"encrypt/{self._key}", {"plaintext": base64.b64encode(data_key).decode()})
        return self._wrapped(data)

    async def unwrap(self, wrapped: WrappedKey) -> bytes:
        data = await self._ask("POST", f"decrypt/{self._key}", self._ciphertext(wrapped))
        try:
            return base64.b64decode(data["plaintext"], validate=True)
        except (KeyError, TypeError, binascii.Error):
            raise KeyStoreAway("the answer is not that of a transit engine") from None

    async def rewrap(self, wrapped: Sequence[WrappedKey]) -> list[WrappedKey]:
        """In one request; the data keys do not leave Vault."""
        if not wrapped:
            return []
        batch = [self._ciphertext(each) for each in wrapped]
        data = await self._ask("POST", f"rewrap/{self._key}", {"batch_input": batch})
        found = data.get("batch_results")
        if not isinstance(found, list) or len(found) != len(wrapped):
            raise KeyStoreAway("the answer is not that of a transit engine")
        if any(each.get("error") for each in found):
            raise KeyUnknown("one of them was not wrapped by this key")
        return [self._wrapped(each) for each in found]

    async def succeed(self) -> None:
        """While versions before the latest may still be needed, none is added."""
        described = await self._described()
        if described["latest_version"] == described["min_decryption_version"]:
            await self._ask("POST", f"keys/{self._key}/rotate")

    async def retire(self) -> None:
        latest = (await self._described())["latest_version"]
        await self._ask("POST", f"keys/{self._key}/config", {"min_decryption_version": latest})

    async def _described(self) -> dict[str, int]:
        data = await self._ask("GET", f"keys/{self._key}")
        found = {name: data.get(name) for name in ("latest_version", "min_decryption_version")}
        if not all(isinstance(number, int) for number in found.values()):
            raise KeyStoreAway("the answer is not that of a transit engine")
        return {name: int(number) for name, number in found.items() if number is not None}

    async def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """What Vault answers as `data`; nothing of its errors is repeated, since they may hold what was sent."""
        headers = {"x-vault-token": self._token, "x-vault-request": "true"}
        try:
            # Nothing is followed: a token goes to where it was meant for only.
            self._context = self._context or ssl.create_default_context(cafile=self._ca_file)
            async with direct_client(timeout=ANSWER_SECONDS, verify=self._context) as client:
                answer = await client.request(method, f"{self._base}/{path}", json=body, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as trouble:
            raise KeyStoreAway(f"transit does not answer ({type(trouble).__name__})") from None
        # A ciphertext that does not open is 400, as is a version that may not be used any more.
        if answer.status_code == 400 and path.startswith(("decrypt/", "rewrap/")):
            raise KeyUnknown("transit does not open this with that key")
        if answer.status_code not in {200, 204}:
            raise KeyStoreAway(f"transit answers {answer.status_code}")
        try:
            data = answer.json()["data"] if answer.status_code == 200 else {}
        except (ValueError, KeyError, TypeError):
            raise KeyStoreAway("the answer is not that of a transit engine") from None
        return data if isinstance(data, dict) else {}

    def _ciphertext(self, wrapped: WrappedKey) -> dict[str, str]:
        if not self.keeps(wrapped.key_id):
            raise KeyUnknown(f"transit does not keep {wrapped.key_id}")
        return {"ciphertext": wrapped.content.decode("ascii", "replace")}

    def _wrapped(self, data: dict[str, Any]) -> WrappedKey:
        ciphertext = data.get("ciphertext")
        found = _CIPHERTEXT.fullmatch(ciphertext) if isinstance(ciphertext, str) else None
        if found is None:
            raise KeyStoreAway("the answer is not that of a transit engine")
        return WrappedKey(f"{self._name}:v{found[1]}", found[0].encode())
