"""What happens when something goes wrong on a server, over HTTP."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import httpx

from shared.events.backup import BackupCompleted
from shared.kernel.ids import new_id
from shared.kit.auth import Role
from tests.contracts.stories.work import under_way
from tests.contracts.story import START, Story
from tests.support.service import ServiceUnderTest

HAPPENED = START + timedelta(days=3)
SEEN = "The shop of Lovelace & Daughters has shown an empty page since noon."
OTHER_WORDS = "We were at the theatre, nobody touched it."
FINDING = {"kind": "system-log", "sha256": "ab" * 32, "found_at": HAPPENED.isoformat()}


class IncidentStory(Story):
    """`incident` is that of the story once `reported`."""

    def __init__(self, service: ServiceUnderTest) -> None:
        super().__init__(service)
        self.second = service.as_role(Role.TECHNICIAN, subject="another-technician")
        self.incident = ""

    async def served(self) -> None:
        """Registered from START; it is half a day before HAPPENED."""
        await self.active()
        await self.service.advance(to=HAPPENED - timedelta(hours=12))

    async def reports_incident(self, **changes: Any) -> httpx.Response:
        body = {
            "server_id": self.server_ids[0],
            "happened_at": HAPPENED.isoformat(),
            "seen": SEEN,
            "channel": "portal",
        }
        return await self.http.post(f"/v1/contracts/{self.contract}/incidents", json={**body, **changes})

    async def reported(self, *, at: datetime = HAPPENED) -> str:
        """It happened at `at` and is reported an hour later, which is now."""
        await self.service.advance(to=at + timedelta(hours=1))
        answer = await self.reports_incident(happened_at=at.isoformat())
        assert answer.status_code == 201, answer.text
        self.incident = answer.json()["id"]
        return self.incident

    async def determines(self, cause: str | None, *, by: httpx.AsyncClient | None = None, **found: Any) -> None:
        answer = await self.determine(cause, by=by, **found)
        assert answer.status_code == 200, answer.text

    async def determine(
        self, cause: str | None, *, by: httpx.AsyncClient | None = None, **found: Any
    ) -> httpx.Response:
        body = {"cause": cause, "data_lost": False, **found}
        return await (by or self.technician).post(f"/v1/incidents/{self.incident}/determine-cause", json=body)

    async def tries_recovery(self, outcome: str, *, method: str = "restore-from-backup") -> None:
        body = {"method": method, "outcome": outcome, "attempted_at": (await self.service.now()).isoformat()}
        answer = await self.technician.post(f"/v1/incidents/{self.incident}/recovery-attempts", json=body)
        assert answer.status_code == 201, answer.text

    async def decides(self, *, by: httpx.AsyncClient | None = None) -> httpx.Response:
        return await (by or self.technician).post(f"/v1/incidents/{self.incident}/decide", json={})

    async def appeals(self, **changes: Any) -> httpx.Response:
        body = {"reason": OTHER_WORDS, "channel": "portal", **changes}
        return await self.http.post(f"/v1/incidents/{self.incident}/appeal", json=body)

    async def decides_appeal(
        self, *, by: httpx.AsyncClient | None = None, reconsidered: dict[str, Any] | None = None
    ) -> httpx.Response:
        body = {} if reconsidered is None else {"reconsidered": reconsidered}
        return await (by or self.second).post(f"/v1/incidents/{self.incident}/decide-appeal", json=body)

    async def shown_incident(self) -> dict[str, Any]:
        answer = await self.http.get(f"/v1/incidents/{self.incident}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def verdicts(self) -> list[tuple[str, str, str, str]]:
        return await self.decisions(self.incident)

    async def declares_unmet(self, unmet: Iterable[str] = ("free-disk",)) -> str:
        body = {"server_id": self.server_ids[0], "unmet": list(unmet)}
        answer = await self.technician.post(f"/v1/contracts/{self.contract}/condition-declarations", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def discloses(self, by: str, *, at: datetime) -> str:
        """It is reported that the root password of the server got known."""
        body = {
            "server_id": self.server_ids[0],
            "kind": "password",
            "disclosed_by": by,
            "disclosed_at": at.isoformat(),
            "channel": "portal",
        }
        answer = await self.http.post(f"/v1/contracts/{self.contract}/disclosures", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def maintenance(self) -> str:
        """Work on the server is under way from now on."""
        return await under_way(self)

    async def run_told(self, *, at: datetime, run_id: UUID | None = None) -> BackupCompleted:
        """The backup service tells of a run whose snapshot was found again."""
        fact = BackupCompleted(
            customer_id=self.customer_id,
            protection_id=new_id(),
            contract_id=UUID(self.contract),
            server_id=UUID(self.server_ids[0]),
            run_id=run_id or new_id(),
            slot_at=at,
            snapshot_id="f00d",
            files=3,
            bytes=4096,
            sample_sha256="cd" * 32,
            completed_at=at,
        )
        await self.service.tell(fact)
        return fact
