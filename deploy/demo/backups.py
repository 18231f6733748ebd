"""Backups that are proven, and files that come back out of them (clause 2.2)."""

from __future__ import annotations

from collections import Counter
from typing import Any

from deploy.demo import papers
from deploy.demo.client import instant
from deploy.demo.rows import Row, Rows, expect_status, require, sha256
from deploy.demo.stage import Stage

FINISHED_RUNS = frozenset({"succeeded", "missed"})


class Backups(Stage):
    async def _protect(self) -> Rows:
        self.busy("Making the first backup with restic")
        step = "making the first backup"
        protection = await self._started(step, "local")
        self.protection_id = protection["id"]
        yield self._protection_row(protection)
        run = (await self._runs(step, 1))[-1]
        self.run_id = run["id"]
        yield self._backup_row(run)
        held = await self.customer.get(step, f"/backup/v1/runs/{run['id']}/files")
        paths = {file["path"] for file in held["items"]}
        require(step, set(papers.SERVER_FILES) <= paths, f"the files {sorted(papers.SERVER_FILES)}", sorted(paths))

    async def _started(self, step: str, place: str) -> Any:
        """The one protection of the server at this place, once it is there."""

        async def look() -> list[Any]:
            return [each for each in await self._all_protections(step) if each["place"] == place]

        found = await self.installation.until(step, look, bool, expected=f"a {place} protection of the server")
        require(step, len(found) == 1, "one protection", len(found))
        self.feed.expect("protection-started")
        return found[0]

    async def _all_protections(self, step: str) -> list[Any]:
        return await self.customer.all(step, "/backup/v1/protections", contract_id=self.contract_id)

    def _protection_row(self, protection: Any) -> Row:
        where, clause = {"local": ("locally", "2.2"), "remote": ("at a remote place too,", "2.3")}[protection["place"]]
        return Row(
            when=instant(protection["started_at"]),
            who="Backup",
            what=f"protects shop-1 {where} every {protection['every_hours']} hours",
            clause=clause,
            event="ProtectionStarted",
        )

    async def _runs(self, step: str, at_least: int, *, of: str | None = None) -> list[Any]:
        """The runs, once there are so many, the last has succeeded, and none is under way or left to be tried again.

        `of`: the protection's id, the local one's unless it is said.
        """
        path = f"/backup/v1/protections/{of or self.protection_id}/runs"

        async def look() -> list[Any]:
            return await self.customer.all(step, path)

        def done(runs: list[Any]) -> bool:
            # A run that was killed is given up, not repeated, once the next slot is due.
            finished = all(run["status"] in FINISHED_RUNS for run in runs)
            return len(runs) >= at_least and finished and runs[-1]["status"] == "succeeded"

        runs = await self.installation.until(step, look, done, expected=f"{at_least} runs, the last a success")
        slots = Counter(run["slot_at"] for run in runs)
        require(step, max(slots.values()) == 1, "one backup per slot", slots)
        return runs

    @property
    def protections(self) -> list[str]:
        """Ids of both places, or of the only one."""
        return [one for one in (self.protection_id, self.remote_protection_id) if one is not None]

    async def _settled_runs(self, step: str) -> list[Any]:
        """All runs of every place, once none is under way."""

        async def look() -> list[Any]:
            paths = [f"/backup/v1/protections/{one}/runs" for one in self.protections]
            return [run for path in paths for run in await self.customer.all(step, path)]

        return await self.installation.until(
            step,
            look,
            lambda runs: all(run["status"] in FINISHED_RUNS for run in runs),
            expected="no run under way",
        )

    async def _completed_backups(self) -> int:
        runs = await self._settled_runs("counting the backups")
        return sum(run["status"] == "succeeded" for run in runs)

    def _backup_row(self, run: Any, *, clause: str = "2.2") -> Row:
        again = f", at attempt {run['attempts']}" if run["attempts"] > 1 else ""
        snapshot = run["snapshot_id"][:8]
        return Row(
            when=instant(run["completed_at"]),
            who="Backup",
            what=f"backs {run['files']} files up; snapshot {snapshot} is found again by its run's tag{again}",
            clause=clause,
            event="BackupCompleted",
        )

    async def _restore(self) -> Rows:
        yield await self._restore_row("ledger/2026.csv", self.run_id)

    async def _restore_row(self, path: str, run_id: str | None) -> Row:
        self.busy(f"Restoring {path}")
        step = f"restoring {path}"
        body = {"server_id": self.server_id, "path": path, "channel": "portal"}
        body |= {"run_id": run_id} if run_id else {}
        asked = await self.customer.send(step, "POST", "/backup/v1/restores", json=body)

        async def look() -> Any:
            return await self.customer.get(step, f"/backup/v1/restores/{asked['id']}")

        restore = await self.installation.until(
            step, look, lambda seen: seen["status"] != "requested", expected="a finished restore"
        )
        expect_status(step, restore, "completed")
        content = (await self.customer.answer("GET", f"/backup/v1/restores/{asked['id']}/content")).content
        wanted = sha256(papers.SERVER_FILES[path])
        require(step, sha256(content) == wanted == restore["sha256"], f"SHA-256 {wanted}", restore["sha256"])
        require(step, restore["within_target"] is True, "the agreement's restore target kept", restore)
        self.feed.expect("restore-completed")
        return Row(
            when=instant(restore["finished_at"]),
            who="Backup",
            what=f"restores {path}; its SHA-256 is that of the file uploaded ({wanted[:12]}…)",
            clause="2.2",
            event="RestoreCompleted",
        )
