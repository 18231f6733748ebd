"""Technical support: who is on call, who answers an emergency and when, and who approves remote backup."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

from services.backup.domain import remote_application
from services.backup.domain.remote_application import DeclineReason
from services.backup.use_cases import remote_applications
from services.contracts.domain.emergency import Outcome
from services.contracts.use_cases import emergencies
from services.notify.domain.contact import Language
from services.notify.use_cases import on_call
from shared.kernel.errors import IllegalMove
from tests.simulation.agenda import Dice
from tests.simulation.company import HOUR, MINUTE, Company
from tests.simulation.people.technicians import TECHNICIANS
from tests.simulation.told import COMPANY, Told

DAY = timedelta(days=1)
SHIFT = 28 * DAY
OUTCOMES = (Outcome.RESTORED, Outcome.NOT_OURS, Outcome.FALSE_ALARM)
EVE, TOM = TECHNICIANS
ROTA = {1: (EVE, 0.9), 2: (TOM, 0.6)}
"""By position, who and how often: now and then nobody is, and administrators are called."""


class Support:
    """`hear` is told of every fact."""

    def __init__(self, company: Company, dice: Dice) -> None:
        self.company = company
        self.dice = dice

    async def open(self) -> None:
        """Tom's mailbox is gone, so that whoever calls him reaches an administrator."""
        self.company.mail.refuse("tom@example.com")
        for name, administrator in ((EVE, False), (TOM, False), ("admin:ada", True)):
            await self._keep(name, f"{name.split(':')[1]}@example.com", administrator=administrator)
        await self.plan_shifts()

    async def _keep(self, subject: str, email: str, *, administrator: bool) -> None:
        await self._do(
            "notify",
            COMPANY,
            f"keep where {subject} is reached",
            lambda tx: on_call.put_staff_contact(
                tx, subject, email=email, language=Language.EN, administrator=administrator
            ),
        )

    async def plan_shifts(self) -> None:
        begins = self.company.clock.now()
        for position, (subject, chance) in ROTA.items():
            if self.dice.falls(chance):
                await self._do("notify", COMPANY, f"put {subject} on call", self._shift(subject, position, begins))
        self.company.agenda.after(SHIFT, self.plan_shifts)

    def _shift(self, subject: str, position: int, begins: Any) -> Callable[[Any], Awaitable[Any]]:
        return lambda tx: on_call.add_shift(tx, subject, position=position, starts_at=begins, ends_at=begins + SHIFT)

    def hear(self, told: Told) -> None:
        match told.kind:
            case "emergency-reported":
                shortest, longest = {"soon": (MINUTE, 14 * MINUTE), "late": (15 * MINUTE, 2 * HOUR)}[
                    self.dice.one_of({"soon": 7.0, "late": 3.0})
                ]
                self.company.agenda.after(self.dice.between(shortest, longest), lambda: self.answer(told))
            case "remote-backup-applied":
                self.company.agenda.after(self.dice.between(HOUR, 9 * DAY), lambda: self.judge(told))

    async def answer(self, told: Told) -> None:
        """Of two who answer one has it."""
        emergency_id = told.id_of("emergency_id")
        for name in TECHNICIANS if self.dice.falls(0.1) else (EVE,):
            await self._do(
                "contracts",
                told.customer_id,
                "take an emergency on",
                lambda tx: emergencies.acknowledge_emergency(tx, emergency_id),
                by=name,
                may=(IllegalMove,),
            )
        self.company.agenda.after(self.dice.between(MINUTE, 4 * HOUR), lambda: self.resolve(told))

    async def resolve(self, told: Told) -> None:
        outcome = self.dice.random.choice(OUTCOMES)
        await self._do(
            "contracts",
            told.customer_id,
            f"resolve an emergency: {outcome}",
            lambda tx: emergencies.resolve_emergency(
                tx, told.id_of("emergency_id"), outcome=outcome, log="Done.", work_request_id=None
            ),
            may=(IllegalMove,),
        )

    async def judge(self, told: Told) -> None:
        application_id = told.id_of("application_id")
        approves = self.dice.falls(0.8)
        await self._do(
            "backup",
            told.customer_id,
            "approve remote backup" if approves else "decline remote backup",
            lambda tx: (
                remote_applications.approve_application(tx, application_id, has_place=True)
                if approves
                else remote_applications.decline_application(tx, application_id, DeclineReason.TOO_LARGE)
            ),
            may=(remote_application.NotServed, IllegalMove),
        )

    async def _do(
        self, service: str, customer_id: UUID, what: str, story: Any, *, by: str = "support:ann", may: Any = ()
    ) -> None:
        await self.company.command(service, customer_id, what, story, by=by, may=may)
