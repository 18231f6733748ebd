"""Secrets of the story's server: what customer and technicians do with them."""

from __future__ import annotations

from typing import Any

import httpx

from tests.contracts.stories.work import WorkStory

VALUE = "correct horse battery staple 中 \n\t!"
NEXT_VALUE = "another horse, another staple"


class VaultStory(WorkStory):
    """`secret` is that of the story once `kept`."""

    secret = ""

    async def keep(self, *, by: httpx.AsyncClient | None = None, **changes: Any) -> httpx.Response:
        body = {"name": "root", "kind": "password", "value": VALUE, "channel": "portal", **changes}
        return await (by or self.http).post(f"/v1/servers/{self.server_ids[0]}/secrets", json=body)

    async def kept(self, **changes: Any) -> str:
        answer = await self.keep(**changes)
        assert answer.status_code == 201, answer.text
        self.secret = answer.json()["id"]
        return self.secret

    async def on_secret(
        self, verb: str, body: dict[str, Any], *, by: httpx.AsyncClient | None = None
    ) -> httpx.Response:
        path = f"/v1/secrets/{self.secret}/{verb}"
        return await (by or self.http).post(path, json={"channel": "portal", **body})

    async def replaced(self, value: str = NEXT_VALUE, *, replaces: int = 1) -> None:
        answer = await self.on_secret("replace", {"value": value, "replaces": replaces})
        assert answer.status_code == 200, answer.text

    async def reveal(self, *, by: httpx.AsyncClient | None = None, **options: Any) -> httpx.Response:
        path = f"/v1/work-requests/{self.work}/reveal-secret"
        return await (by or self.eve).post(path, json={"secret_id": self.secret}, **options)

    async def secrets_shown(self) -> list[dict[str, Any]]:
        answer = await self.http.get(f"/v1/servers/{self.server_ids[0]}/secrets")
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["items"]
        return found

    async def report(self, **changes: Any) -> httpx.Response:
        body = {
            "server_id": self.server_ids[0],
            "secret_id": self.secret,
            "disclosed_by": "customer",
            "disclosed_at": (await self.service.now()).isoformat(),
            "channel": "portal",
        }
        sent = {name: value for name, value in {**body, **changes}.items() if value is not None}
        return await self.http.post(f"/v1/contracts/{self.contract}/disclosures", json=sent)

    async def reported(self, **changes: Any) -> dict[str, Any]:
        answer = await self.report(**changes)
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def disclosure_shown(self) -> dict[str, Any]:
        """The newest one."""
        items = (await self.http.get(f"/v1/contracts/{self.contract}/disclosures")).json()["items"]
        found: dict[str, Any] = items[-1]
        return found

    async def flagged_since(self) -> str | None:
        answer = await self.http.get(f"/v1/contracts/{self.contract}")
        since: str | None = answer.json()["disclosure_open_since"]
        return since
