"""What stories about the end of a period do besides: explain circumstances, answer, ask for the window."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import httpx

from shared.kit.auth import Role
from tests.contracts.story import Story

REASON = "The bank in our town is closed after the flood of last week."


class LifecycleStory(Story):
    """`extension` is what was explained last."""

    extension = ""

    async def explains(
        self, *, reason: str = REASON, until_on: date | str | None = None, **body: Any
    ) -> httpx.Response:
        asked = {"reason": reason, "channel": "portal", **body}
        if until_on is not None:
            asked["until_on"] = str(until_on)
        answer = await self.http.post(f"/v1/contracts/{self.contract}/extensions", json=asked)
        if answer.is_success:
            self.extension = answer.json()["id"]
        return answer

    async def explained(self, **body: Any) -> str:
        answer = await self.explains(**body)
        assert answer.status_code == 201, answer.text
        return self.extension

    async def approves(self, until_on: date | str, *, by: str = "grace") -> httpx.Response:
        staff = self.service.as_role(Role.SUPPORT, subject=by)
        return await staff.post(f"/v1/extensions/{self.extension}/approve", json={"until_on": str(until_on)})

    async def granted(self, until_on: date | str) -> None:
        answer = await self.approves(until_on)
        assert answer.status_code == 200, answer.text

    async def refuses(self, reason: str = "A holiday is not special.", *, by: str = "grace") -> httpx.Response:
        staff = self.service.as_role(Role.SUPPORT, subject=by)
        return await staff.post(f"/v1/extensions/{self.extension}/refuse", json={"reason": reason})

    async def window(self) -> dict[str, Any]:
        answer = await self.http.get(f"/v1/contracts/{self.contract}/window")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def options(self) -> dict[str, tuple[bool, str, str | None]]:
        """(allowed, clause, refusal) by what may be decided."""
        return {
            option["decision"]: (option["allowed"], option["clause"], option["refusal"])
            for option in (await self.window())["options"]
        }

    async def until(self, instant: datetime) -> None:
        await self.service.advance(to=instant)
