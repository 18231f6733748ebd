"""Work on the story's contract: what customer, technicians and the backup service do."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import httpx

from shared.events.backup import BackupCompleted
from shared.kernel.ids import new_id
from shared.kit.auth import Role
from tests.contracts.story import START, Story

HOUR = timedelta(hours=1)
REASON = {"reason": "The disks of this server have failed before."}


class WorkStory(Story):
    """`work` is the work request of the story once `asked`; Eve is the technician, Tom another one."""

    work = ""

    @property
    def eve(self) -> httpx.AsyncClient:
        return self.service.as_role(Role.TECHNICIAN, subject="eve")

    @property
    def tom(self) -> httpx.AsyncClient:
        return self.service.as_role(Role.TECHNICIAN, subject="tom")

    async def ask(self, operation_code: str = "kernel-upgrade", **changes: Any) -> httpx.Response:
        body = {"operation_code": operation_code, "server_id": self.server_ids[0], "channel": "portal", **changes}
        return await self.http.post(f"/v1/contracts/{self.contract}/work-requests", json=body)

    async def asked(self, operation_code: str = "kernel-upgrade", **changes: Any) -> str:
        answer = await self.ask(operation_code, **changes)
        assert answer.status_code == 201, answer.text
        self.work = answer.json()["id"]
        return self.work

    async def tells(self, verb: str, body: dict[str, Any] | None = None, *, by: httpx.AsyncClient) -> httpx.Response:
        return await by.post(f"/v1/work-requests/{self.work}/{verb}", json=body)

    async def did(self, verb: str, body: dict[str, Any] | None = None, *, by: httpx.AsyncClient) -> dict[str, Any]:
        answer = await self.tells(verb, body, by=by)
        assert answer.is_success, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def assessed(self, operation_code: str = "kernel-upgrade", *, rehearsed: bool = False) -> str:
        """The risk that was found."""
        await self.asked(operation_code)
        return str((await self.did("assess", {"rehearsed": rehearsed}, by=self.eve))["assessed_risk"])

    async def risk_text(self, language: str = "en") -> dict[str, Any]:
        answer = await self.http.get(f"/v1/work-requests/{self.work}/risk-text", params={"language": language})
        assert answer.status_code == 200, answer.text
        text: dict[str, Any] = answer.json()
        return text

    async def acknowledge(self, **changes: Any) -> httpx.Response:
        text = await self.risk_text()
        body = {"language": "en", "text_sha256": text["text_sha256"], "channel": "portal", **changes}
        return await self.tells("acknowledge", body, by=self.http)

    async def accepted_work(self, operation_code: str = "health-check") -> str:
        """Of low risk unless another operation is named."""
        await self.assessed(operation_code)
        await self.did("accept", by=self.eve)
        return self.work

    def slot(
        self, starts_at: datetime = START + HOUR, hours: float = 2, *, technician: str = "eve", place: str = "remote"
    ) -> dict[str, Any]:
        return {
            "starts_at": starts_at.isoformat(),
            "ends_at": (starts_at + hours * HOUR).isoformat(),
            "place": place,
            "technician": technician,
        }

    async def scheduled(self, operation_code: str = "health-check", slot: dict[str, Any] | None = None) -> str:
        await self.accepted_work(operation_code)
        await self.did("schedule", slot or self.slot(), by=self.support)
        await made_ready(self)
        return self.work

    async def in_progress(self, operation_code: str = "health-check") -> str:
        """Begun by Eve at the first moment of its window."""
        await self.scheduled(operation_code)
        await self.service.advance(to=START + HOUR)
        await self.did("start", by=self.eve)
        return self.work

    async def work_shown(self) -> dict[str, Any]:
        answer = await self.http.get(f"/v1/work-requests/{self.work}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def backed_up(self, completed_at: datetime) -> None:
        """The backup service tells of a verified backup of the server."""
        fact = BackupCompleted(
            customer_id=self.customer_id,
            protection_id=new_id(),
            contract_id=UUID(self.contract),
            server_id=UUID(self.server_ids[0]),
            run_id=new_id(),
            slot_at=completed_at,
            snapshot_id="4bba301e",
            files=3,
            bytes=4096,
            sample_sha256="0" * 64,
            completed_at=completed_at,
        )
        await self.service.tell(fact)

    async def work_decisions(self) -> list[tuple[str, str, str, str]]:
        return await self.decisions(self.work)


async def made_ready(story: Story) -> None:
    """The first server meets the conditions for maintenance, or the customer was told which it does not (2.4)."""
    server = story.server_ids[0]
    for condition in ("reachable", "credentials-valid", "free-disk"):
        body = {"condition": condition, "passed": True}
        answer = await story.technician.post(f"/v1/servers/{server}/readiness-checks", json=body)
        assert answer.status_code == 201, answer.text
    software = {"software": [{"name": "nginx", "licence": "BSD-2-Clause"}], "channel": "portal"}
    answer = await story.http.post(f"/v1/servers/{server}/software", json=software)
    assert answer.status_code == 201, answer.text
    shown = (await story.http.get(f"/v1/servers/{server}/readiness")).json()
    if unmet := [item["condition"] for item in shown["items"] if item["state"] != "ok"]:
        path = f"/v1/contracts/{story.contract}/condition-declarations"
        answer = await story.technician.post(path, json={"server_id": server, "unmet": unmet})
        assert answer.status_code == 201, answer.text


async def under_way(story: Story, operation_code: str = "health-check") -> str:
    """Work on the first server that `story.technician` has begun at this moment, within a window of two hours."""
    body = {"operation_code": operation_code, "server_id": story.server_ids[0], "channel": "portal"}
    answer = await story.http.post(f"/v1/contracts/{story.contract}/work-requests", json=body)
    assert answer.status_code == 201, answer.text
    work = str(answer.json()["id"])
    await made_ready(story)
    now = await story.service.now()
    slot = {
        "starts_at": now.isoformat(),
        "ends_at": (now + 2 * HOUR).isoformat(),
        "place": "remote",
        "technician": "dev-technician",
    }
    for verb, sent in (("assess", {"rehearsed": False}), ("accept", None), ("schedule", slot), ("start", None)):
        answer = await story.technician.post(f"/v1/work-requests/{work}/{verb}", json=sent)
        assert answer.status_code == 200, answer.text
    return work
