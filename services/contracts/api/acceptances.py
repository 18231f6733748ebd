"""What a contract's customer accepted and bought: the evidence of it, the text on paper, and the plan in full."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Query, Response
from pydantic import Field

from services.contracts.api import agreement_paper
from services.contracts.api.catalogue import PlanVersionView
from services.contracts.api.customers import READERS
from services.contracts.db import acceptances, catalogue, contracts, evidence
from services.contracts.domain.agreement import Language
from services.contracts.domain.contract import Acceptance, NoSuchAcceptance, NoSuchContract
from shared.kit.auth import Caller, Role
from shared.kit.fields import View
from shared.kit.routing import CallerIn, HouseRouter, Read

router = HouseRouter("/v1/contracts", tag="contracts")


class AcceptanceView(View):
    """`address`, where it was accepted from, is shown to who accepted it and to administrators; others read null."""

    id: UUID
    contract_id: UUID
    period_index: int
    agreement_version: str
    language: Language
    text_sha256: str = Field(description="of the exact text, which is kept for ever")
    accepted_by: str
    accepted_at: datetime
    channel: str
    address: str | None

    @classmethod
    def of(cls, acceptance: Acceptance, caller: Caller) -> AcceptanceView:
        sees = Role.ADMIN in caller.roles or acceptance.accepted_by == caller.subject
        return cls(
            id=acceptance.id,
            contract_id=acceptance.contract_id,
            period_index=acceptance.period_index,
            agreement_version=acceptance.text.version,
            language=acceptance.text.language,
            text_sha256=acceptance.text.sha256,
            accepted_by=acceptance.accepted_by,
            accepted_at=acceptance.accepted_at,
            channel=acceptance.channel,
            address=acceptance.address if sees else None,
        )


class AcceptanceList(View):
    items: list[AcceptanceView]


class AcceptedTextView(View):
    """The exact text of an acceptance, whatever was published since."""

    agreement_version: str
    language: Language
    sha256: str
    text: str


class BoughtPlanView(PlanVersionView):
    """The version that the present period was bought in. `in_service_hours`: now, by the contract's zone."""

    zone: str
    in_service_hours: bool


@router.get("/{contract_id}/acceptances", callers=READERS, refusals=[NoSuchContract])
async def list_acceptances(contract_id: UUID, reader: Read, caller: CallerIn) -> AcceptanceList:
    """Every acceptance of the agreement for this contract, oldest first: who, when, how, and which exact text."""
    contract = await contracts.get(reader, contract_id, only_customer=caller.only_customer)
    found = await acceptances.of_contract(reader, contract.id)
    return AcceptanceList(items=[AcceptanceView.of(each, caller) for each in found])


@router.get(
    "/{contract_id}/acceptances/{acceptance_id}/text", callers=READERS, refusals=[NoSuchContract, NoSuchAcceptance]
)
async def read_accepted_text(
    contract_id: UUID, acceptance_id: UUID, reader: Read, caller: CallerIn
) -> AcceptedTextView:
    """The very text that was accepted, as it was kept with the first acceptance of it."""
    contract = await contracts.get(reader, contract_id, only_customer=caller.only_customer)
    found = await acceptances.of_contract(reader, contract.id)
    accepted = next((each.text for each in found if each.id == acceptance_id), None)
    if accepted is None:
        raise NoSuchAcceptance()
    return AcceptedTextView(
        agreement_version=accepted.version,
        language=accepted.language,
        sha256=accepted.sha256,
        text=await evidence.accepted_text(reader, accepted.version, accepted.language),
    )


@router.get(
    "/{contract_id}/agreement.pdf",
    callers=READERS,
    refusals=[NoSuchContract, NoSuchAcceptance],
    response_class=Response,
    response_model=None,
    responses=agreement_paper.RESPONSES,
)
async def print_accepted_agreement(
    contract_id: UUID,
    reader: Read,
    caller: CallerIn,
    period: Annotated[int | None, Query(ge=1, description="the period it was accepted for; default the last")] = None,
) -> Response:
    """The text that was accepted, in its language, with the facts of its acceptance, on paper."""
    contract = await contracts.get(reader, contract_id, only_customer=caller.only_customer)
    found = [
        each
        for each in await acceptances.of_contract(reader, contract.id)
        if period is None or each.period_index == period
    ]
    if not found:
        raise NoSuchAcceptance()
    accepted = found[-1].text
    text = await evidence.accepted_text(reader, accepted.version, accepted.language)
    content = await asyncio.to_thread(agreement_paper.printed_accepted, text, found[-1])
    answer = agreement_paper.response(content, f"agreement-{accepted.version}-{contract.id}.pdf")
    answer.headers["cache-control"] = "private, no-store"
    return answer


@router.get("/{contract_id}/plan", callers=READERS, refusals=[NoSuchContract])
async def read_bought_plan(contract_id: UUID, reader: Read, caller: CallerIn) -> BoughtPlanView:
    """The plan in the version that was bought, offered or not, and whether its service hours are now."""
    contract = await contracts.get(reader, contract_id, only_customer=caller.only_customer)
    contract.catch_up(reader.now)
    plan = catalogue.published().plan(
        contract.plan.code, version=contract.plan.version, agreement_version=contract.agreement_version
    )
    return BoughtPlanView(
        **PlanVersionView.version_of(plan, catalogue.published(), reader.now).model_dump(),
        zone=contract.zone,
        in_service_hours=plan.service_hours.cover(reader.now, contract.zone),
    )
