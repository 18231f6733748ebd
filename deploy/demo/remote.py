"""A remote place besides the local one, on the customer's application only (clause 2.3)."""

from __future__ import annotations

from typing import Any

from deploy.demo.backups import Backups
from deploy.demo.client import instant
from deploy.demo.rows import Row, Rows, expect_status, require

STEP = "applying for remote backup"
PATH = "/backup/v1/remote-applications"


class Remote(Backups):
    async def _apply_for_remote(self) -> Rows:
        self.busy("Applying for remote backup")
        places = [one["place"] for one in await self._all_protections(STEP)]
        require(STEP, places == ["local"], "nothing remote before it was applied for", places)
        body = {"server_id": self.server_id, "channel": "portal"}
        application = await self.customer.send(STEP, "POST", PATH, json=body)
        expect_status(STEP, application, "applied")
        self.feed.expect("remote-backup-applied")
        yield Row(
            when=instant(application["applied_at"]),
            who="Customer",
            what="applies for remote backup of shop-1",
            clause="2.3",
            event="RemoteBackupApplied",
        )
        one = f"{PATH}/{application['id']}"
        answer = await self.technician.answer("POST", f"{one}/approve")
        said = answer.json()
        async for row in self._back_up_remotely(said) if answer.is_success else self._decline(one, said):
            yield row

    async def _back_up_remotely(self, application: Any) -> Rows:
        expect_status(STEP, application, "approved")
        self.feed.expect("remote-backup-approved")
        yield Row(
            when=instant(application["decided_at"]),
            who="Technician",
            what="approves the application",
            clause="2.3",
            event="RemoteBackupApproved",
        )
        self.busy("Making the first remote backup with restic")
        protection = await self._started(STEP, "remote")
        self.remote_protection_id = protection["id"]
        yield self._protection_row(protection)
        run = (await self._runs(STEP, 1, of=protection["id"]))[-1]
        yield self._backup_row(run, clause="2.3")
        yield await self._restore_row("etc/shop.conf", run["id"])

    async def _decline(self, one: str, problem: Any) -> Rows:
        """An installation without a remote place says so; nothing else is a reason here."""
        require(STEP, problem["code"] == "NoRemotePlace", "it to be approved, or NoRemotePlace", problem)
        yield await self._refused("Technician", "approves it; there is no remote place", problem["code"], "2.3")
        declined = await self.technician.send(STEP, "POST", f"{one}/decline", json={"reason": "no-capacity"})
        self.feed.expect("remote-backup-declined")
        yield Row(
            when=instant(declined["decided_at"]),
            who="Technician",
            what="declines the application for want of capacity",
            clause="2.3",
            event="RemoteBackupDeclined",
        )
