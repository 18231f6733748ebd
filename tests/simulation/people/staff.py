"""Finance audits what customers report, slowly at times; support answers who explains special circumstances."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from uuid import UUID

from services.billing.domain.payment import OwnEntry
from services.billing.use_cases import payments
from services.contracts.domain.decision_table import AlreadyDecided, NothingToExtend
from services.contracts.domain.extension import ExtensionOutOfRange
from services.contracts.domain.server import ServerInAnotherContract
from services.contracts.use_cases import extensions
from shared.kernel.errors import IllegalMove
from tests.simulation.agenda import Dice
from tests.simulation.company import HOUR, MINUTE, Company
from tests.simulation.people.support import Support
from tests.simulation.people.technicians import Technicians
from tests.simulation.told import Told

DAY = timedelta(days=1)


class Staff:
    """`hear` is told of every fact."""

    def __init__(self, company: Company, dice: Dice) -> None:
        self.company = company
        self.dice = dice
        self.technicians = Technicians(company, dice)
        self.support = Support(company, dice)

    async def open(self) -> None:
        await self.support.open()

    def hear(self, told: Told) -> None:
        self.support.hear(told)
        if told.kind == "payment-reported":
            self._plan_audit(told)
        elif told.kind == "work-requested":
            self.technicians.hear(told)
        elif told.kind == "extension-requested":
            # Some are answered when the period is over.
            self.company.agenda.after(self.dice.between(HOUR, 9 * DAY), lambda: self.answer_extension(told))

    def _plan_audit(self, told: Told) -> None:
        speed = self.dice.one_of({"quick": 30, "usual": 55, "slow": 15})
        shortest, longest = {
            "quick": (timedelta(), MINUTE),
            "usual": (10 * MINUTE, 30 * HOUR),
            "slow": (2 * DAY, 20 * DAY),
        }[speed]
        approves = self.dice.falls(0.88)
        self.company.agenda.after(self.dice.between(shortest, longest), lambda: self.audit(told, approves))
        if self.dice.falls(0.03):
            # A colleague who decides as well, and otherwise.
            self.company.agenda.after(self.dice.between(shortest, longest), lambda: self.audit(told, not approves))

    async def answer_extension(self, told: Told) -> None:
        """Grace grants most for some days, and Linus refuses the others."""
        ends_at = datetime.fromisoformat(told.data["ends_at"])
        until_on = (max(ends_at, self.company.clock.now()) + self.dice.between(DAY, 32 * DAY)).date()
        granted = self.dice.falls(0.75) and await self._answer(told, until_on, by="support:grace")
        if not granted:
            # Also what cannot be granted any more, or not so long.
            await self._answer(told, None, by="support:linus")

    async def _answer(self, told: Told, until_on: date | None, *, by: str) -> bool:
        """`until_on`: granted through that day, or refused; whether it was done."""
        extension_id: UUID = told.id_of("extension_id")
        answer = await self.company.command(
            "contracts",
            told.customer_id,
            f"extend to {until_on}" if until_on else "refuse to extend",
            lambda tx: (
                extensions.approve_extension(tx, extension_id, until_on=until_on)
                if until_on
                else extensions.refuse_extension(tx, extension_id, reason="A holiday is not special.")
            ),
            by=by,
            may=(AlreadyDecided, ExtensionOutOfRange, NothingToExtend, ServerInAnotherContract),
        )
        return answer.refusal is None

    async def audit(self, told: Told, approves: bool) -> None:
        """Ada tries her own entries first; Bob does those."""
        answer = await self._decide(told, approves, by="finance:ada", may=(OwnEntry, IllegalMove))
        if isinstance(answer, OwnEntry):
            await self._decide(told, approves, by="finance:bob", may=(IllegalMove,))

    async def _decide(
        self, told: Told, approves: bool, *, by: str, may: tuple[type[OwnEntry] | type[IllegalMove], ...]
    ) -> object:
        payment_id: UUID = told.id_of("payment_id")
        answer = await self.company.command(
            "billing",
            told.customer_id,
            f"{'approve' if approves else 'reject'} {str(payment_id)[:8]}",
            lambda tx: (
                payments.approve_payment(tx, payment_id, by=by)
                if approves
                else payments.reject_payment(tx, payment_id, reason="Not on our account.", by=by)
            ),
            by=by,
            may=may,
        )
        return answer.refusal
