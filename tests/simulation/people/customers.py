"""A customer: registers, buys, decides at the end of a period, and asks for what it may not have."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from services.backup.domain import server
from services.backup.use_cases import files
from services.billing.domain.profile import Address, ExemptionByFinanceOnly, NoSuchProfile
from services.billing.domain.tax_id import tax_id_of
from services.billing.use_cases import profiles
from services.contracts.db import agreements
from services.contracts.domain.agreement import AcceptedText, AgreementTextDiffers, Language
from services.contracts.domain.catalogue import OutsideCatalogue
from services.contracts.domain.contract import NoSuchContract
from services.contracts.domain.customer import NoSuchCustomer
from services.contracts.domain.decision_table import (
    AfterTheEnd,
    AlreadyDecided,
    AlreadyExplained,
    ExplainedTooLate,
    NothingToExtend,
    NothingToWithdraw,
)
from services.contracts.domain.server import ServerInAnotherContract
from services.contracts.use_cases import contracts, customers, extensions, renewals
from services.contracts.use_cases.contracts import Word
from services.notify.domain import contact
from services.notify.use_cases import contacts
from shared.kernel.channels import OralRequest
from shared.kernel.ids import new_id
from shared.kernel.period import UnknownZone
from tests.simulation.agenda import Dice
from tests.simulation.company import HOUR, MINUTE, SECOND, Answer, Company
from tests.simulation.people.payers import Payer
from tests.simulation.people.wishes import FOREIGN, PATH, Wish, Wishes, written
from tests.simulation.told import PromiseBroken, Told

DAY = timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)
ZONES = (
    "Europe/Berlin", "America/New_York", "Asia/Shanghai", "Australia/Lord_Howe", "America/St_Johns", "Africa/Cairo",
    "Asia/Kathmandu", "Pacific/Apia", "America/Sao_Paulo", "Europe/Lisbon", "Pacific/Chatham", "Asia/Kolkata",
    "America/Santiago", "Europe/Dublin", "Africa/Casablanca", "Antarctica/Troll", "Pacific/Kiritimati", "UTC",
)  # fmt: skip
COUNTRIES = {
    "DE": 4.0, "FR": 2.0, "GB": 1.0, "US": 2.0, "CN": 2.0, "FI": 1.0, "JP": 1.0, "BR": 1.0, "CH": 1.0,
}  # fmt: skip
PLANS = {
    "care-yearly-eur": 35.0, "essential-yearly-eur": 25.0, "care-yearly-cny": 14.0,
    "care-quarterly-eur": 10.0, "care-quarterly-usd": 5.0, "care-quarterly-cny": 3.0,
    "care-monthly-eur": 3.0, "essential-monthly-usd": 3.0, "essential-monthly-cny": 2.0,
}  # fmt: skip
STYLES = {
    "standing": 20.0, "window": 40.0, "second": 8.0, "late": 3.0, "stop": 6.0, "wavering": 8.0, "nothing": 8.0,
    "pleading": 8.0,
}  # fmt: skip
"""How a customer decides at the end of a period."""


@dataclass
class Known:
    """What the customer knows of one of its contracts; `ends` by period."""

    id: UUID
    ends: dict[int, datetime] = field(default_factory=dict)
    over: bool = False


class Customer:
    """`id` is what the others know it by."""

    def __init__(self, company: Company, dice: Dice, number: int) -> None:
        self.company = company
        self.agenda = company.agenda
        self.dice = dice
        self.number = number
        self.id = new_id()
        self.zone = ZONES[number % len(ZONES)]
        self.language = Language.ZH if dice.falls(0.3) else Language.EN
        self.country = dice.one_of(COUNTRIES)
        self.servers: list[UUID] = []
        self.known: dict[UUID, Known] = {}
        self.payer = Payer(company, dice, self.id, self.end_of)
        self.wishes = Wishes(company, dice, self.id, self.name)

    @property
    def name(self) -> str:
        return f"customer:{self.number}"

    def end_of(self, contract_id: UUID, period_index: int) -> datetime | None:
        known = self.known.get(contract_id)
        return known.ends.get(period_index) if known else None

    def later(self, shortest: timedelta, longest: timedelta, step: Callable[[], Awaitable[None]]) -> None:
        self.agenda.after(self.dice.between(shortest, longest), step)

    async def do(self, service: str, what: str, story: Any, **options: Any) -> Answer[Any]:
        return await self.company.command(service, self.id, what, story, by=self.name, **options)

    def channel(self) -> str:
        return written(self.dice)

    # Getting to know each other

    async def arrive(self) -> None:
        def introduce(channel: str) -> Any:
            return lambda tx: customers.register_customer(
                tx,
                customer_id=None,
                only_customer=self.id,
                name=f"Customer {self.number}",
                language=self.language,
                zone=self.zone,
                channel=channel,
            )

        if self.dice.falls(0.1):
            await self.do("contracts", "register by phone", introduce("phone"), must=(OralRequest,))
        await self.do("contracts", f"register in {self.zone}", introduce(self.channel()))
        for number in range(2 if self.dice.falls(0.15) else 1):
            await self.add_server(number)
        self.later(MINUTE, HOUR, self.buy)
        self._plan("profile", 0.85, self.give_profile)
        if self.dice.falls(0.97):
            self._plan("contact", 0.85, self.give_contact)
        if self.dice.falls(0.4):
            self.later(DAY, 400 * DAY, self.move)

    def _plan(self, _what: str, early: float, step: Callable[[], Awaitable[None]]) -> None:
        if self.dice.falls(early):
            self.later(SECOND, 2 * HOUR, step)
        else:
            self.later(DAY, 30 * DAY, step)

    async def add_server(self, number: int) -> None:
        answer = await self.do(
            "contracts",
            "register a server",
            lambda tx: customers.register_server(
                tx,
                self.id,
                only_customer=self.id,
                name=f"server-{number}",
                operating_system="Debian 12",
                channel=self.channel(),
            ),
        )
        assert answer.result is not None
        server_id: UUID = answer.result.id
        self.servers.append(server_id)
        self.later(HOUR, 3 * HOUR, lambda: self.upload(server_id))

    async def upload(self, server_id: UUID) -> None:
        content = self.dice.random.randbytes(40)
        answer = await self.do(
            "backup",
            "upload a file",
            lambda tx: files.store_file(tx, self.company.files, server_id, PATH, content, only_customer=self.id),
            may=(server.NoSuchServer,),
        )
        if answer.refusal is not None:
            self.later(HOUR, 6 * HOUR, lambda: self.upload(server_id))
        elif self.dice.falls(0.5):
            self.later(10 * DAY, 200 * DAY, lambda: self.upload(server_id))

    async def give_profile(self) -> None:
        taxed = self.country == "DE" and self.dice.falls(0.2)

        def put(customer_id: UUID, channel: str, exemption: str | None = None) -> Any:
            return lambda tx: profiles.put_profile(
                tx,
                customer_id,
                only_customer=self.id,
                legal_name=f"Customer {self.number} Ltd",
                address=Address(lines=("Street 1",), city="City", postal_code="12345", country=self.country),
                tax_id=tax_id_of("DE136695976", "DE") if taxed else None,
                exemption_certificate=exemption,
                by_finance=False,
                channel=channel,
            )

        if self.dice.falls(0.05):
            await self.do("billing", "another's profile", put(FOREIGN, "portal"), must=(NoSuchProfile,))
            await self.do("billing", "profile by phone", put(self.id, "phone"), must=(OralRequest,))
            await self.do("billing", "exempt itself", put(self.id, "api", "none"), must=(ExemptionByFinanceOnly,))
        await self.do("billing", f"profile in {self.country}", put(self.id, self.channel()))
        if self.dice.falls(0.1):
            self.later(20 * DAY, 300 * DAY, self.give_profile)

    async def move(self) -> None:
        """Contracts keep the calendar they were drafted in; the next one is drafted in the new zone."""
        zone = self.dice.random.choice(ZONES)

        def move(to: str, channel: str, only_customer: UUID) -> Any:
            return lambda tx: customers.change_zone(tx, self.id, only_customer=only_customer, zone=to, channel=channel)

        if self.dice.falls(0.2):
            await self.do("contracts", "move by phone", move(zone, "phone", self.id), must=(OralRequest,))
            await self.do("contracts", "move to Mars", move("Mars/Olympus", "api", self.id), must=(UnknownZone,))
            await self.do("contracts", "move another", move(zone, "api", FOREIGN), must=(NoSuchCustomer,))
        await self.do("contracts", f"move to {zone}", move(zone, self.channel(), self.id))
        self.zone = zone
        if self.dice.falls(0.5):
            self.later(DAY, 400 * DAY, self.move)

    async def give_contact(self) -> None:
        bounces = self.dice.falls(0.04)
        address = f"{'gone' if bounces else 'customer'}-{self.number}@example.org"
        if bounces:
            self.company.mail.refuse(address)

        def put(customer_id: UUID, email: str) -> Any:
            return lambda tx: contacts.put_contact(
                tx, customer_id, email=email, language=contact.Language(self.language), only_customer=self.id
            )

        if self.dice.falls(0.05):
            await self.do("notify", "no address", put(self.id, "nobody"), must=(contact.NotAnAddress,))
            await self.do("notify", "another's contact", put(FOREIGN, address), must=(contact.NoSuchContact,))
        await self.do("notify", f"contact {address}", put(self.id, address))

    # Buying

    async def buy(self) -> None:
        plan_code = self.dice.one_of(PLANS)
        paper = self.dice.falls(0.3)

        def draft(code: str, channel: str) -> Any:
            return lambda tx: contracts.draft_contract(
                tx,
                self.id,
                only_customer=self.id,
                plan_code=code,
                server_ids=self.servers,
                paper_bill=paper,
                channel=channel,
            )

        if self.dice.falls(0.1):
            await self.do("contracts", "draft by phone", draft(plan_code, "phone"), must=(OralRequest,))
            await self.do("contracts", "something special", draft("special", "api"), must=(OutsideCatalogue,))
        answer = await self.do(
            "contracts", f"draft {plan_code}", draft(plan_code, self.channel()), may=(ServerInAnotherContract,)
        )
        if answer.result is not None:
            contract_id: UUID = answer.result.id
            if answer.result.zone != self.zone:
                raise PromiseBroken(self.id, f"drafted in {answer.result.zone}, lives in {self.zone}")
            self.known[contract_id] = Known(contract_id)
            verb = self.withdraw if self.dice.falls(0.04) else self.accept
            self.later(SECOND, 2 * DAY, lambda: verb(contract_id))
        else:
            self.later(20 * DAY, 90 * DAY, self.buy)

    def word(self, *, channel: str | None = None, sha256: str | None = None) -> Word:
        """The customer's yes to the agreement as it is offered now."""
        offered = agreements.published().current(self.company.clock.now())
        text = AcceptedText(
            version=offered.version, language=self.language, sha256=sha256 or offered.sha256(self.language)
        )
        return Word(text=text, channel=channel or self.channel(), address="192.0.2.7")

    async def accept(self, contract_id: UUID) -> None:
        def accept(word: Word, only_customer: UUID) -> Any:
            return lambda tx: contracts.accept_contract(tx, contract_id, word, only_customer=only_customer)

        if self.dice.falls(0.1):
            wrong, oral = self.word(sha256="0" * 64), self.word(channel="phone")
            await self.do("contracts", "accept another text", accept(wrong, self.id), must=(AgreementTextDiffers,))
            await self.do("contracts", "accept by phone", accept(oral, self.id), must=(OralRequest,))
            await self.do("contracts", "another accepts", accept(self.word(), FOREIGN), must=(NoSuchContract,))
        await self.do("contracts", "accept", accept(self.word(), self.id))
        if self.dice.falls(0.06):
            self.later(HOUR, 6 * DAY, lambda: self.withdraw(contract_id))
        self.later(60 * DAY, 90 * DAY, lambda: self.withdraw_unpaid(contract_id))

    async def withdraw(self, contract_id: UUID) -> None:
        answer = await self.do(
            "contracts",
            "withdraw",
            lambda tx: contracts.withdraw_contract(tx, contract_id, only_customer=self.id, channel=self.channel()),
            may=(NothingToWithdraw,),
        )
        if answer.refusal is None:
            self._end(contract_id)

    async def withdraw_unpaid(self, contract_id: UUID) -> None:
        known = self.known[contract_id]
        if not known.ends and not known.over:
            await self.withdraw(contract_id)

    def _end(self, contract_id: UUID) -> None:
        self.known[contract_id].over = True
        if self.dice.falls(0.6):
            self.agenda.after(self.dice.soon(60 * DAY), self.buy)

    # What the company says

    def hear(self, told: Told) -> None:
        match told.kind:
            case "invoice-issued":
                self.payer.hear_of_invoice(told)
            case "payment-audited":
                self.payer.hear_of_audit(told)
            case "service-registered" | "service-renewed":
                self._hear_of_period(told)
            case "service-extended":
                self._hear_of_extension(told)
            case "service-expired":
                if not self.known[told.id_of("contract_id")].over:
                    self._end(told.id_of("contract_id"))
            case "backup-completed":
                if self.dice.falls(0.03):
                    self.later(MINUTE, 40 * DAY, lambda: self.wishes.restore(told.id_of("server_id")))
            case "remote-backup-approved":
                if self.dice.falls(0.2):
                    self.later(DAY, 200 * DAY, lambda: self.wishes.give_up_remote(told.id_of("application_id")))
            case "emergency-reported":
                if self.dice.falls(0.1):
                    self.later(SECOND, HOUR, lambda: self.wishes.withdraw_emergency(told.id_of("emergency_id")))

    def _hear_of_period(self, told: Told) -> None:
        contract_id, index = told.id_of("contract_id"), int(told.data["period_index"])
        starts_at = datetime.fromisoformat(told.data["starts_at"])
        ends_at = datetime.fromisoformat(told.data["ends_at"])
        self.known[contract_id].ends[index] = ends_at
        self._plan_decision(contract_id, max(starts_at, self.company.clock.now()), ends_at)
        server_id = self.servers[0]
        for chance, wish in (
            (0.15, self.wishes.ask_for_work),
            (0.08, self.wishes.call_support),
            (0.12, self.wishes.apply_for_remote),
        ):
            if self.dice.falls(chance):
                self._wish(wish, contract_id, server_id, self.dice.moment(starts_at, ends_at + DAY))

    def _wish(self, wish: Wish, contract_id: UUID, server_id: UUID, at: datetime) -> None:
        self.agenda.at(at, lambda: wish(contract_id, server_id))

    def _hear_of_extension(self, told: Told) -> None:
        """There is more time to pay; who has planned a purchase meanwhile does so all the same."""
        known = self.known[told.id_of("contract_id")]
        known.ends[int(told.data["period_index"])] = datetime.fromisoformat(told.data["extended_until"])
        known.over = False

    def _plan_decision(self, contract_id: UUID, starts_at: datetime, ends_at: datetime) -> None:
        def renew(at: datetime) -> None:
            self.agenda.at(at, lambda: self.renew(contract_id))

        def stop(at: datetime) -> None:
            self.agenda.at(at, lambda: self.stop(contract_id))

        opens_at = ends_at - 3 * DAY
        style = self.dice.one_of(STYLES)
        match style:
            case "standing":
                renew(self.dice.moment(starts_at, opens_at))
            case "window":
                renew(self.dice.moment(opens_at, ends_at))
            case "second":
                renew(ends_at - self.dice.random.choice([MICROSECOND, SECOND, MINUTE, HOUR]))
            case "late":
                renew(ends_at + self.dice.random.choice([timedelta(), SECOND, HOUR, 9 * DAY]))
            case "stop":
                stop(self.dice.moment(starts_at, ends_at + HOUR))
            case "wavering":
                for _change in range(self.dice.random.randint(2, 4)):
                    (renew if self.dice.falls(0.6) else stop)(self.dice.moment(starts_at, ends_at))
            case "pleading":
                self.agenda.at(self.dice.moment(opens_at - 4 * DAY, ends_at + HOUR), lambda: self.explain(contract_id))
                if self.dice.falls(0.8):
                    renew(self.dice.moment(opens_at, ends_at + 9 * DAY))
                elif self.dice.falls(0.3):
                    stop(ends_at + self.dice.between(HOUR, 9 * DAY))

    # Deciding

    async def renew(self, contract_id: UUID) -> None:
        def renew(word: Word, only_customer: UUID) -> Any:
            return lambda tx: renewals.renew_contract(tx, contract_id, word, only_customer=only_customer)

        if self.dice.falls(0.05):
            oral = self.word(channel="phone")
            await self.do("contracts", "renew by phone", renew(oral, self.id), must=(OralRequest,))
            await self.do("contracts", "another renews", renew(self.word(), FOREIGN), must=(NoSuchContract,))
        await self.do("contracts", "renew", renew(self.word(), self.id), may=(AfterTheEnd, AlreadyDecided))

    async def explain(self, contract_id: UUID) -> None:
        def explain(channel: str, only_customer: UUID) -> Any:
            return lambda tx: extensions.explain_circumstances(
                tx,
                contract_id,
                only_customer=only_customer,
                reason="The bank is closed after the flood of last week.",
                until_on=None,
                channel=channel,
            )

        if self.dice.falls(0.2):
            await self.do("contracts", "explain by phone", explain("phone", self.id), must=(OralRequest,))
            await self.do("contracts", "another explains", explain("api", FOREIGN), must=(NoSuchContract,))
        await self.do(
            "contracts",
            "explain circumstances",
            explain(self.channel(), self.id),
            may=(ExplainedTooLate, AlreadyExplained, NothingToExtend, AlreadyDecided),
        )

    async def stop(self, contract_id: UUID) -> None:
        await self.do(
            "contracts",
            "stop",
            lambda tx: renewals.stop_contract(tx, contract_id, only_customer=self.id, channel=self.channel()),
            may=(AfterTheEnd, AlreadyDecided),
        )
