"""The mail server and the backup program of the simulation: the fakes of the product, with troubles of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar
from uuid import UUID

from services.backup.gateways.fake_restic import FakeRestic
from services.backup.gateways.restic import Repository, RepositoryBusy, ResticFailed, ResticMissing, Snapshot
from services.notify.domain.attempt import Answer
from services.notify.gateways.smtp import FakeMailServer, Mail
from tests.simulation.agenda import Dice, SimulatedClock

T = TypeVar("T")
Step = Callable[[str], None]


class TroubledMailServer(FakeMailServer):
    """Counts messages by notice instead of keeping them; now and then it puts us off or loses its answer."""

    def __init__(self, dice: Dice) -> None:
        super().__init__()
        self._dice = dice
        self.troubled = True
        self.taken: Counter[UUID] = Counter()
        self.step: Step = lambda _where: None

    async def send(self, mail: Mail) -> Answer:
        self.step("before a mail")
        if self.troubled and self._dice.falls(0.03):
            self.answer_next(times=self._dice.random.randint(1, 4))
        if self.troubled and self._dice.falls(0.01):
            self.lose_next_answer()
        answer = await super().send(mail)
        self.taken[mail.id] += len(self.messages)
        self.messages.clear()
        self.step("after a mail")
        return answer


@dataclass
class TroubledRestic(FakeRestic):
    """Single servers fail for minutes to hours, and snapshots come back damaged."""

    clock: SimulatedClock = field(kw_only=True)
    dice: Dice = field(kw_only=True)
    troubled: bool = True
    step: Step = lambda _where: None
    failing_until: dict[UUID, datetime] = field(default_factory=dict)
    runs: Counter[str] = field(default_factory=Counter)

    async def find(self, repository: Repository, tag: str) -> Snapshot | None:
        self._may_fail(repository)
        return await self._stepping(lambda: super(TroubledRestic, self).find(repository, tag))

    async def back_up(self, repository: Repository, folder: Path, *, tag: str, at: datetime) -> Snapshot:
        self._maybe_begin_trouble(repository)
        self._may_fail(repository)
        made = await self._stepping(lambda: super(TroubledRestic, self).back_up(repository, folder, tag=tag, at=at))
        self.runs[tag] += 1
        return made

    async def hash_of(self, repository: Repository, snapshot_id: str, path: str) -> str:
        self.corrupt = self.troubled and self.dice.falls(0.01)
        try:
            return await self._stepping(lambda: super(TroubledRestic, self).hash_of(repository, snapshot_id, path))
        finally:
            self.corrupt = False

    async def restore(self, repository: Repository, snapshot_id: str, path: str, to: Path) -> tuple[str, int]:
        return await self._stepping(lambda: super(TroubledRestic, self).restore(repository, snapshot_id, path, to))

    async def forget(self, repository: Repository, snapshot_id: str) -> None:
        await self._stepping(lambda: super(TroubledRestic, self).forget(repository, snapshot_id))

    async def delete(self, repository: Repository) -> None:
        await self._stepping(lambda: super(TroubledRestic, self).delete(repository))

    async def _stepping(self, call: Callable[[], Awaitable[T]]) -> T:
        self.step("before a call of restic")
        result = await call()
        self.step("after a call of restic")
        return result

    def _maybe_begin_trouble(self, repository: Repository) -> None:
        if not self.troubled:
            return
        if self.dice.falls(0.05):
            lasts = self.dice.between(timedelta(minutes=1), timedelta(hours=1))
            self.failing_until[repository.server_id] = self.clock.now() + lasts
        if self.dice.falls(0.01):
            raise RepositoryBusy("somebody else backs up")
        if self.dice.falls(0.005):
            raise ResticMissing("restic")

    def _may_fail(self, repository: Repository) -> None:
        until = self.failing_until.get(repository.server_id)
        if until is not None and self.clock.now() < until:
            raise ResticFailed("the server does not answer")
