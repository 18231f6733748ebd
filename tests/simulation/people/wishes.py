"""What a customer asks for while it is served, or when it is not: work, files, remote backup, help at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from services.backup.domain import remote_application, restore, server
from services.backup.domain.protection import DataNoLongerKept
from services.backup.use_cases import remote_applications, restores
from services.contracts.domain import emergency
from services.contracts.domain.catalogue import OutsideCatalogue
from services.contracts.domain.contract import NoSuchContract
from services.contracts.domain.decision_table import NotRegistered
from services.contracts.use_cases import emergencies, work_requests
from shared.kernel.channels import OralRequest
from shared.kernel.errors import IllegalMove
from tests.simulation.agenda import Dice
from tests.simulation.company import Answer, Company

PATH = "etc/config"
FOREIGN = UUID(int=1)

Wish = Callable[[UUID, UUID], Awaitable[None]]
"""About a contract and one of its servers."""


def written(dice: Dice) -> str:
    """A channel that every agreement of the simulation takes."""
    return dice.one_of({"portal": 8.0, "api": 2.0})


class Wishes:
    """`name` is whom the company knows the customer as."""

    def __init__(self, company: Company, dice: Dice, customer_id: UUID, name: str) -> None:
        self.company = company
        self.dice = dice
        self.customer_id = customer_id
        self.name = name

    async def ask_for_work(self, contract_id: UUID, server_id: UUID) -> None:
        def ask(operation_code: str, channel: str) -> Any:
            return lambda tx: work_requests.request_work(
                tx,
                contract_id,
                only_customer=self.customer_id,
                operation_code=operation_code,
                server_id=server_id,
                note="Please.",
                channel=channel,
            )

        await self._do("contracts", "ask for work by phone", ask("health-check", "phone"), must=(OralRequest,))
        await self._do("contracts", "ask for magic", ask("magic", "portal"), must=(OutsideCatalogue, NotRegistered))
        operation = self.dice.random.choice(["health-check", "service-restart", "disk-repartition"])
        await self._do(
            "contracts",
            f"ask for {operation}",
            ask(operation, written(self.dice)),
            may=(NotRegistered, OutsideCatalogue),
        )

    async def call_support(self, contract_id: UUID, server_id: UUID) -> None:
        """Also after the end, when nobody comes."""

        def call(channel: str, only_customer: UUID) -> Any:
            return lambda tx: emergencies.report_emergency(
                tx,
                contract_id,
                only_customer=only_customer,
                server_id=server_id,
                seen="Nothing works.",
                channel=channel,
            )

        if self.dice.falls(0.2):
            await self._do("contracts", "shout", call("phone", self.customer_id), must=(OralRequest,))
            await self._do("contracts", "another's emergency", call("api", FOREIGN), must=(NoSuchContract,))
        await self._do(
            "contracts",
            "call support",
            call(written(self.dice), self.customer_id),
            may=(emergency.NotServed, emergency.AlreadyAnEmergency),
        )

    async def withdraw_emergency(self, emergency_id: UUID) -> None:
        await self._do(
            "contracts",
            "call it off",
            lambda tx: emergencies.withdraw_emergency(
                tx, emergency_id, only_customer=self.customer_id, channel=written(self.dice)
            ),
            may=(IllegalMove,),
        )

    async def apply_for_remote(self, _contract_id: UUID, server_id: UUID) -> None:
        """Whichever contract serves the server then."""

        def apply(channel: str, only_customer: UUID) -> Any:
            return lambda tx: remote_applications.apply_for_remote(
                tx, server_id=server_id, channel=channel, only_customer=only_customer
            )

        if self.dice.falls(0.2):
            await self._do("backup", "apply by phone", apply("phone", self.customer_id), must=(OralRequest,))
            await self._do("backup", "another applies", apply("api", FOREIGN), must=(server.NoSuchServer,))
        await self._do(
            "backup",
            "apply for remote backup",
            apply(written(self.dice), self.customer_id),
            may=(remote_application.NotServed, remote_application.AlreadyApplied),
        )

    async def give_up_remote(self, application_id: UUID) -> None:
        await self._do(
            "backup",
            "give remote backup up",
            lambda tx: remote_applications.give_up_application(
                tx, application_id, channel=written(self.dice), only_customer=self.customer_id
            ),
        )

    async def restore(self, server_id: UUID) -> None:
        def ask(channel: str, only_customer: UUID) -> Any:
            return lambda tx: restores.ask_for_restore(
                tx, server_id=server_id, run_id=None, path=PATH, channel=channel, only_customer=only_customer
            )

        gone = (restore.NothingToRestore, DataNoLongerKept)
        await self._do("backup", "restore by phone", ask("phone", self.customer_id), must=(OralRequest, *gone))
        await self._do("backup", "another restores", ask("api", FOREIGN), must=(server.NoSuchServer,))
        await self._do("backup", "restore", ask("api", self.customer_id), may=gone)

    async def _do(self, service: str, what: str, story: Any, **options: Any) -> Answer[Any]:
        return await self.company.command(service, self.customer_id, what, story, by=self.name, **options)
