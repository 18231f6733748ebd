"""Contracts: draft, accept, withdraw, renew, stop; the window in which the customer decides."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Query, Request
from pydantic import AfterValidator, Field

from services.contracts.api.customers import READERS, WRITERS
from services.contracts.db import agreements, catalogue, contracts
from services.contracts.domain.agreement import (
    AcceptedText,
    AgreementTextDiffers,
    Language,
)
from services.contracts.domain.catalogue import OutsideCatalogue
from services.contracts.domain.contract import Contract, ContractStatus, NoSuchContract
from services.contracts.domain.customer import NoSuchCustomer
from services.contracts.domain.decision_table import (
    AfterTheEnd,
    AlreadyDecided,
    Matter,
    Moment,
    NothingToWithdraw,
    NotRegistered,
)
from services.contracts.domain.happening import EndReason
from services.contracts.domain.period import BoughtPlan, Choice, PeriodStatus, ServicePeriod
from services.contracts.domain.server import NoSuchServer, ServerInAnotherContract
from services.contracts.use_cases import contracts as stories
from services.contracts.use_cases import renewals
from services.contracts.use_cases.contracts import Word
from shared.kernel.channels import OralRequest
from shared.kernel.errors import IllegalMove, Refusal, StaleWrite
from shared.kit.db import Reader
from shared.kit.fields import AmountOut, Body, Code, Flag, Line, Sha256, View
from shared.kit.paging import Page, Paging
from shared.kit.routing import CallerIn, HouseRouter, Read, Tx

router = HouseRouter("/v1/contracts", tag="contracts")

MOST_SERVERS = 50


def _different(server_ids: list[UUID]) -> list[UUID]:
    if len(set(server_ids)) != len(server_ids):
        raise ValueError("must not name a server twice")
    return server_ids


class DraftContract(Body):
    customer_id: UUID
    plan_code: Code
    server_ids: Annotated[list[UUID], Field(min_length=1, max_length=MOST_SERVERS), AfterValidator(_different)]
    paper_bill: Flag = False
    channel: Line


class AcceptText(Body):
    """Names the exact text that was read: version, language and SHA-256 as GET /v1/agreements/current showed them."""

    agreement_version: Line
    language: Language
    text_sha256: Sha256
    channel: Line

    def word(self, request: Request) -> Word:
        return Word(
            text=AcceptedText(version=self.agreement_version, language=self.language, sha256=self.text_sha256),
            channel=self.channel,
            address=(request.client.host if request.client else "unknown")[:64],
        )


class InWriting(Body):
    channel: Line


class PlanBought(View):
    code: str
    version: int
    term_months: int
    fee: AmountOut


class PeriodView(View):
    index: int
    status: PeriodStatus
    starts_at: datetime
    ends_at: datetime
    window_opens_at: datetime
    zone: str
    anchor_day: int
    agreement_version: str
    plan: PlanBought
    payment_id: UUID | None
    decision: Choice | None
    decided_at: datetime | None
    explained_at: datetime | None
    extended_until: datetime | None
    refunded_at: datetime | None


class ContractView(View):
    """`agreement_version` is the one offered while the contract is a draft, and the one that governs it after.

    `disclosure_open_since`: a secret that was reported as disclosed then has not been replaced yet.
    """

    id: UUID
    customer_id: UUID
    status: ContractStatus
    agreement_version: str
    plan: PlanBought
    server_ids: list[UUID]
    paper_bill: bool
    zone: str
    current_period_index: int | None
    drafted_at: datetime
    accepted_at: datetime | None
    withdrawn_at: datetime | None
    ended_at: datetime | None
    end_reason: EndReason | None
    disclosure_open_since: datetime | None

    @classmethod
    def of(cls, contract: Contract, now: datetime) -> ContractView:
        contract.catch_up(now)  # Shown as it is stored once the timers have run.
        offered = agreements.published().current(now).version
        return cls(
            id=contract.id,
            customer_id=contract.customer_id,
            status=contract.status,
            agreement_version=offered if contract.status is ContractStatus.DRAFT else contract.agreement_version,
            plan=_plan(contract.plan),
            server_ids=list(contract.server_ids),
            paper_bill=contract.paper_bill,
            zone=contract.zone,
            current_period_index=contract.current_index or None,
            drafted_at=contract.drafted_at,
            accepted_at=contract.accepted_at,
            withdrawn_at=contract.withdrawn_at,
            ended_at=contract.ended_at,
            end_reason=contract.end_reason,
            disclosure_open_since=contract.disclosure_open_since,
        )


class DecisionOption(View):
    """`standing`: decided now, it takes effect when the window opens. `refusal` and `detail` say why not."""

    decision: Matter
    allowed: bool
    standing: bool
    clause: str
    refusal: str | None
    detail: str | None


class WindowView(View):
    """From `opens_at` up to, and not including, `closes_at` (3.3): the period's end, or its extension's (3.5).

    A service that is not registered has no window yet.
    """

    opens_at: datetime | None
    closes_at: datetime | None
    zone: str
    now: datetime
    open: bool
    period_index: int | None
    ends_at: datetime | None
    extended_until: datetime | None
    agreement_version: str
    decision: Choice | None
    options: list[DecisionOption]


class ContractDetail(ContractView):
    """`periods` are the newest ones, oldest first."""

    periods: list[PeriodView]
    window: WindowView


@router.post(
    "",
    callers=WRITERS,
    status_code=201,
    refusals=[OralRequest, OutsideCatalogue, NoSuchCustomer, NoSuchServer, ServerInAnotherContract],
)
async def draft_contract(body: DraftContract, tx: Tx, caller: CallerIn) -> ContractView:
    """Draft a contract for a plan of the catalogue; the answer names the agreement that is offered."""
    contract = await stories.draft_contract(
        tx,
        body.customer_id,
        only_customer=caller.only_customer,
        plan_code=body.plan_code,
        server_ids=body.server_ids,
        paper_bill=body.paper_bill,
        channel=body.channel,
    )
    return ContractView.of(contract, tx.now)


@router.get("", callers=READERS)
async def list_contracts(
    reader: Read,
    caller: CallerIn,
    paging: Paging,
    customer_id: Annotated[UUID | None, Query()] = None,
    status: Annotated[ContractStatus | None, Query()] = None,
) -> Page[ContractView]:
    """Contracts the caller may see, oldest first."""
    found = await contracts.page(
        reader,
        only_customer=caller.only_customer,
        customer_id=customer_id,
        status=status,
        after=paging.after,
        limit=paging.limit,
    )
    return paging.page(found, lambda contract: ContractView.of(contract, reader.now), lambda contract: contract.id)


@router.get("/{contract_id}", callers=READERS, refusals=[NoSuchContract])
async def read_contract(contract_id: UUID, reader: Read, caller: CallerIn) -> ContractDetail:
    """One contract with its periods and what may be decided now."""
    contract = await contracts.get(reader, contract_id, only_customer=caller.only_customer)
    return await _detail(reader, contract)


@router.get("/{contract_id}/window", callers=READERS, refusals=[NoSuchContract])
async def read_window(contract_id: UUID, reader: Read, caller: CallerIn) -> WindowView:
    """When the customer decides, what may be decided now, and by which clause."""
    contract = await contracts.get(reader, contract_id, only_customer=caller.only_customer)
    return _window(contract, reader.now)


@router.post(
    "/{contract_id}/accept",
    callers=WRITERS,
    refusals=[NoSuchContract, OralRequest, AgreementTextDiffers, OutsideCatalogue, IllegalMove, StaleWrite],
)
async def accept_contract(
    contract_id: UUID, body: AcceptText, request: Request, tx: Tx, caller: CallerIn
) -> ContractView:
    """Accept the exact text that is offered; billing then asks for the fee."""
    contract = await stories.accept_contract(tx, contract_id, body.word(request), only_customer=caller.only_customer)
    return ContractView.of(contract, tx.now)


@router.post(
    "/{contract_id}/withdraw", callers=WRITERS, refusals=[NoSuchContract, OralRequest, NothingToWithdraw, StaleWrite]
)
async def withdraw_contract(contract_id: UUID, body: InWriting, tx: Tx, caller: CallerIn) -> ContractView:
    """Withdraw before the service is registered."""
    contract = await stories.withdraw_contract(
        tx, contract_id, only_customer=caller.only_customer, channel=body.channel
    )
    return ContractView.of(contract, tx.now)


_DECIDING = [NoSuchContract, OralRequest, NotRegistered, AfterTheEnd, AlreadyDecided, StaleWrite]


@router.post("/{contract_id}/renew", callers=WRITERS, refusals=[*_DECIDING, AgreementTextDiffers, OutsideCatalogue])
async def renew_contract(
    contract_id: UUID, body: AcceptText, request: Request, tx: Tx, caller: CallerIn
) -> ContractDetail:
    """Decide for another term by the newest agreement; before the window it is kept as a standing decision."""
    contract = await renewals.renew_contract(tx, contract_id, body.word(request), only_customer=caller.only_customer)
    return await _detail(tx, contract)


@router.post("/{contract_id}/stop", callers=WRITERS, refusals=_DECIDING)
async def stop_contract(contract_id: UUID, body: InWriting, tx: Tx, caller: CallerIn) -> ContractDetail:
    """Decide that the service ends with the present period."""
    contract = await renewals.stop_contract(tx, contract_id, only_customer=caller.only_customer, channel=body.channel)
    return await _detail(tx, contract)


async def _detail(reader: Reader, contract: Contract) -> ContractDetail:
    window = _window(contract, reader.now)
    periods = await contracts.last_periods(reader, contract.id)
    return ContractDetail(
        **ContractView.of(contract, reader.now).model_dump(),
        periods=[_period(contract.periods.get(period.index, period)) for period in periods],
        window=window,
    )


def _plan(plan: BoughtPlan) -> PlanBought:
    return PlanBought(code=plan.code, version=plan.version, term_months=plan.term_months, fee=AmountOut.of(plan.fee))


def _window(contract: Contract, now: datetime) -> WindowView:
    contract.catch_up(now)
    current = contract.current
    return WindowView(
        opens_at=current and current.window.opens_at,
        closes_at=current and current.closes_at,
        zone=contract.zone,
        now=now,
        open=contract.moment_at(now) in {Moment.IN_WINDOW, Moment.EXTENDED},
        period_index=current and current.index,
        ends_at=current and current.ends_at,
        extended_until=current and current.extended_until,
        agreement_version=current.agreement_version if current else contract.agreement_version,
        decision=current and current.choice,
        options=[_option(contract, matter, now) for matter in Matter],
    )


def _option(contract: Contract, matter: Matter, now: datetime) -> DecisionOption:
    parameters = agreements.published().version((contract.current or contract).agreement_version).parameters
    ruling = contract.rule_on(matter, now, refund_days=parameters.refund_window_days)
    refusal = ruling.refusal
    if refusal is None and matter is Matter.RENEW:
        refusal = _outside_catalogue(contract, now)
    return DecisionOption(
        decision=matter,
        allowed=refusal is None,
        standing=ruling.standing,
        clause=(refusal and refusal.cited_clause) or ruling.clause,
        refusal=refusal.code() if refusal else None,
        detail=refusal.detail if refusal else None,
    )


def _outside_catalogue(contract: Contract, now: datetime) -> Refusal | None:
    """Why the plan cannot be renewed into: it was withdrawn (3.1)."""
    try:
        catalogue.published().to_buy(contract.plan.code, now=now, agreement_version=contract.agreement_version)
    except OutsideCatalogue as refusal:
        return refusal
    return None


def _period(bought: ServicePeriod) -> PeriodView:
    return PeriodView(
        index=bought.index,
        status=bought.status,
        starts_at=bought.starts_at,
        ends_at=bought.ends_at,
        window_opens_at=bought.window.opens_at,
        zone=bought.period.zone,
        anchor_day=bought.period.anchor_day,
        agreement_version=bought.agreement_version,
        plan=_plan(bought.plan),
        payment_id=bought.payment_id,
        decision=bought.choice,
        decided_at=bought.chosen_at,
        explained_at=bought.explained_at,
        extended_until=bought.extended_until,
        refunded_at=bought.refunded_at,
    )
