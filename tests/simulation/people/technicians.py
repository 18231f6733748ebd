"""Technicians judge the risk of what is asked for, refuse it or take it on, and do it in its window."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from services.contracts.db import servers
from services.contracts.db import work_requests as rows
from services.contracts.domain.agreement import Language
from services.contracts.domain.booking import Place, Slot, TechnicianBooked
from services.contracts.domain.decision_table import NotRegistered
from services.contracts.domain.readiness import RECORDED, NotReady, State
from services.contracts.domain.software import Component
from services.contracts.domain.work_request import NotTheTechnician, WorkRequest
from services.contracts.domain.work_rules import NoFreshBackup, NotAcknowledged, NothingToRefuse
from services.contracts.use_cases import readiness, software, work_in_progress, work_requests
from services.contracts.use_cases.incidents import conditions
from shared.kernel.errors import IllegalMove
from shared.kit.db import Transaction
from tests.simulation.agenda import Dice
from tests.simulation.company import HOUR, MINUTE, Company
from tests.simulation.told import Told

DAY = timedelta(days=1)
TECHNICIANS = ("technician:eve", "technician:tom")
UNSAFE = (NotAcknowledged, NoFreshBackup)


class Technicians:
    """`hear` is told of every request."""

    def __init__(self, company: Company, dice: Dice) -> None:
        self.company = company
        self.dice = dice

    def hear(self, told: Told) -> None:
        delay = self.dice.between(HOUR, 9 * DAY)
        self.company.agenda.after(delay, lambda: self.judge(told))

    async def judge(self, told: Told) -> None:
        work_id = told.id_of("work_request_id")
        rehearsed = self.dice.falls(0.2)
        await self._do(told, "assess work", lambda tx: work_requests.assess_work(tx, work_id, rehearsed=rehearsed))
        if self.dice.falls(0.3):
            refused = await self._do(
                told,
                "refuse work",
                lambda tx: work_requests.refuse_work(tx, work_id, reason="Too dangerous."),
                may=(NothingToRefuse,),
            )
            if refused:
                return
        if self.dice.falls(0.5):
            customer = f"customer:{told.customer_id}"
            await self._do(told, "acknowledge a risk", lambda tx: self._sign(tx, work_id), by=customer)
        accepted = await self._do(
            told, "accept work", lambda tx: work_requests.accept_work(tx, work_id), may=(*UNSAFE, NotRegistered)
        )
        if accepted:
            await self.schedule(told, work_in_progress.schedule_work)

    async def schedule(self, told: Told, story: Any) -> None:
        """Whoever is free; who is booked is asked again for another time."""
        work_id = told.id_of("work_request_id")
        begins = self.company.clock.now() + self.dice.between(HOUR, 3 * DAY)
        place = self.dice.random.choice(list(Place))
        technician = self.dice.random.choice(TECHNICIANS)
        slot = Slot(starts_at=begins, ends_at=begins + 4 * HOUR, place=place, technician=technician)
        scheduled = await self._do(
            told,
            "schedule work",
            lambda tx: story(tx, work_id, slot),
            by="support:ann",
            may=(TechnicianBooked, NotRegistered),
        )
        if scheduled and self.dice.falls(0.2):
            await self.schedule(told, work_in_progress.reschedule_work)
        elif scheduled:
            moment = self.dice.moment(begins, slot.ends_at - MINUTE)
            self.company.agenda.at(moment, lambda: self.work(told, technician))

    async def work(self, told: Told, technician: str) -> None:
        work_id = told.id_of("work_request_id")
        other = TECHNICIANS[TECHNICIANS.index(technician) - 1]
        if self.dice.falls(0.05):
            await self._must_not(told, lambda tx: work_in_progress.start_work(tx, work_id), by=other)
        may_start: tuple[Any, ...] = (*UNSAFE, NotRegistered)
        if self.dice.falls(0.9):
            await self.make_ready(told, technician)
        else:
            may_start += (NotReady,)
        started = await self._do(
            told, "start work", lambda tx: work_in_progress.start_work(tx, work_id), by=technician, may=may_start
        )
        if not started:
            return
        await self._do(
            told, "log a step", lambda tx: work_in_progress.log_step(tx, work_id, text="Done."), by=technician
        )
        if self.dice.falls(0.1):
            fail = "The server does not answer."
            await self._do(
                told, "fail work", lambda tx: work_in_progress.fail_work(tx, work_id, reason=fail), by=technician
            )
            return
        await self._do(told, "complete work", lambda tx: work_in_progress.complete_work(tx, work_id), by=technician)
        if self.dice.falls(0.5):
            self.company.agenda.after(self.dice.between(MINUTE, 12 * DAY), lambda: self.sign_off(told))

    async def make_ready(self, told: Told, technician: str) -> None:
        """Check the server, have its customer declare the software, and tell it what is unmet all the same."""

        async def look(tx: Transaction) -> None:
            work = await rows.get(tx, told.id_of("work_request_id"), only_customer=None)
            for condition in sorted(RECORDED):
                await readiness.record_check(tx, work.server_id, readiness.Checked(condition=condition, passed=True))

        async def declare(tx: Transaction) -> None:
            work = await rows.get(tx, told.id_of("work_request_id"), only_customer=None)
            declared = software.by_hand([Component(name="nginx", licence="BSD-2-Clause")])
            channel, only = "portal", told.customer_id
            await software.declare_software(tx, work.server_id, declared, only_customer=only, channel=channel)

        async def tell(tx: Transaction) -> None:
            work = await rows.get(tx, told.id_of("work_request_id"), only_customer=None)
            server = await servers.get(tx, work.server_id, only_customer=None)
            _, items = await readiness.checklist_of(tx, server)
            if unmet := [item.condition for item in items if item.state is not State.OK]:
                await conditions.declare_unmet(tx, work.contract_id, server_id=server.id, unmet=unmet)

        await self._do(told, "check a server", look, by=technician)
        await self._do(told, "declare software", declare, by=f"customer:{told.customer_id}")
        await self._do(told, "tell of unmet conditions", tell, by=technician, may=(NotRegistered,))

    async def sign_off(self, told: Told) -> None:
        await self._do(
            told,
            "sign work off",
            lambda tx: work_in_progress.sign_off_work(
                tx, told.id_of("work_request_id"), only_customer=told.customer_id, channel="portal"
            ),
            by=f"customer:{told.customer_id}",
            may=(IllegalMove,),
        )

    async def _sign(self, tx: Transaction, work_id: UUID) -> WorkRequest:
        work = await rows.get(tx, work_id, only_customer=None)
        text = await work_requests.text_about_risk(tx, work, Language.ZH)
        signature = work_requests.Signature(
            language=text.language, text_sha256=text.sha256, channel="portal", address="192.0.2.7"
        )
        return await work_requests.acknowledge_risk(tx, work_id, signature, only_customer=work.customer_id)

    async def _do(
        self, told: Told, what: str, story: Any, *, by: str = TECHNICIANS[0], may: tuple[Any, ...] = ()
    ) -> bool:
        """Whether it was done."""
        answer = await self.company.command("contracts", told.customer_id, what, story, by=by, may=may)
        return answer.refusal is None

    async def _must_not(self, told: Told, story: Any, *, by: str) -> None:
        must = (NotTheTechnician, NotRegistered)
        await self.company.command("contracts", told.customer_id, "start another's work", story, by=by, must=must)
