"""Declarations to the customer that a server does not meet the conditions for maintenance (2.4)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, Field

from services.contracts.api.customers import READERS
from services.contracts.api.work_requests import TECHNICIANS
from services.contracts.db import condition_declarations, contracts
from services.contracts.domain.condition_declaration import (
    Condition,
    ConditionDeclaration,
    DeclarationStatus,
    NoSuchDeclaration,
)
from services.contracts.domain.contract import NoSuchContract
from services.contracts.domain.decision_table import NotRegistered
from services.contracts.domain.work_request import ServerOutsideContract
from services.contracts.use_cases.incidents import conditions
from shared.kernel.errors import IllegalMove, StaleWrite
from shared.kit.fields import Body, View
from shared.kit.paging import Page, Paging
from shared.kit.routing import CallerIn, HouseRouter, Read, Tx

router = HouseRouter("/v1", tag="conditions")


def _different(unmet: list[Condition]) -> list[Condition]:
    if len(set(unmet)) != len(unmet):
        raise ValueError("must not name a condition twice")
    return unmet


class DeclareUnmet(Body):
    server_id: UUID
    unmet: Annotated[list[Condition], Field(min_length=1, max_length=len(Condition)), AfterValidator(_different)]


class DeclarationView(View):
    """It stands from `declared_at` until `lifted_at`."""

    id: UUID
    contract_id: UUID
    customer_id: UUID
    server_id: UUID
    agreement_version: str
    unmet: list[Condition]
    status: DeclarationStatus
    declared_at: datetime
    declared_by: str
    lifted_at: datetime | None

    @classmethod
    def of(cls, declaration: ConditionDeclaration) -> DeclarationView:
        return cls.model_validate(declaration)


@router.post(
    "/contracts/{contract_id}/condition-declarations",
    callers=TECHNICIANS,
    status_code=201,
    refusals=[NoSuchContract, NotRegistered, ServerOutsideContract],
)
async def declare_conditions_unmet(contract_id: UUID, body: DeclareUnmet, tx: Tx) -> DeclarationView:
    """Tell the customer which conditions a server does not meet; from now on it is on record."""
    declaration = await conditions.declare_unmet(tx, contract_id, server_id=body.server_id, unmet=body.unmet)
    return DeclarationView.of(declaration)


@router.get("/contracts/{contract_id}/condition-declarations", callers=READERS, refusals=[NoSuchContract])
async def list_condition_declarations(
    contract_id: UUID, reader: Read, caller: CallerIn, paging: Paging
) -> Page[DeclarationView]:
    """What was declared of the contract's servers, oldest first."""
    contract = await contracts.get(reader, contract_id, only_customer=caller.only_customer)
    found = await condition_declarations.page(reader, contract.id, after=paging.after, limit=paging.limit)
    return paging.page(found, DeclarationView.of, lambda declaration: declaration.id)


@router.post(
    "/condition-declarations/{declaration_id}/lift",
    callers=TECHNICIANS,
    refusals=[NoSuchDeclaration, IllegalMove, StaleWrite],
)
async def lift_condition_declaration(declaration_id: UUID, tx: Tx) -> DeclarationView:
    """The conditions are met again."""
    return DeclarationView.of(await conditions.lift(tx, declaration_id))
