"""Disclosed secrets: reported in writing, and replaced within the agreement's time (5.2, 5.3)."""

from __future__ import annotations

from datetime import datetime
from typing import Self
from uuid import UUID

from pydantic import model_validator

from services.contracts.api.customers import READERS, WRITERS
from services.contracts.db import contracts, disclosures
from services.contracts.domain.contract import NoSuchContract
from services.contracts.domain.decision_table import NotRegistered
from services.contracts.domain.disclosure import (
    DisclosedBy,
    DisclosedKind,
    DisclosedLater,
    Disclosure,
    DisclosureStatus,
    NoSuchDisclosure,
    Source,
    StillInTheVault,
)
from services.contracts.domain.secret import NoSuchSecret
from services.contracts.domain.work_request import ServerOutsideContract
from services.contracts.use_cases import disclosures as stories
from shared.kernel.channels import OralRequest
from shared.kernel.errors import IllegalMove, StaleWrite
from shared.kit.fields import Body, Line, View, When
from shared.kit.paging import Page, Paging
from shared.kit.routing import CallerIn, HouseRouter, Read, Tx

router = HouseRouter("/v1", tag="disclosures")


class ReportDisclosure(Body):
    """Of a secret in the vault, by `secret_id`, or of something else, by its `kind`."""

    server_id: UUID
    secret_id: UUID | None = None
    kind: DisclosedKind | None = None
    disclosed_by: DisclosedBy
    disclosed_at: When
    channel: Line

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.secret_id is None) == (self.kind is None):
            raise ValueError("name either secret_id or kind")
        return self


class ConfirmReplaced(Body):
    channel: Line


class DisclosureView(View):
    """`responsible` by `clause`; open until `replaced_at`, overdue from `replace_by` on."""

    id: UUID
    contract_id: UUID
    customer_id: UUID
    server_id: UUID
    secret_id: UUID | None
    kind: DisclosedKind
    disclosed_by: DisclosedBy
    source: Source
    agreement_version: str
    clause: str
    responsible: str
    status: DisclosureStatus
    disclosed_at: datetime
    reported_at: datetime
    replace_by: datetime
    overdue_at: datetime | None
    replaced_at: datetime | None

    @classmethod
    def of(cls, disclosure: Disclosure) -> DisclosureView:
        return cls.model_validate(disclosure)


@router.post(
    "/contracts/{contract_id}/disclosures",
    callers=WRITERS,
    status_code=201,
    refusals=[NoSuchContract, OralRequest, NotRegistered, ServerOutsideContract, DisclosedLater, NoSuchSecret],
)
async def report_disclosure(contract_id: UUID, body: ReportDisclosure, tx: Tx, caller: CallerIn) -> DisclosureView:
    """Report that a secret got known to others; from now on the agreement's time to replace it runs (5.2, 5.3)."""
    disclosure = await stories.report_disclosure(
        tx,
        contract_id,
        only_customer=caller.only_customer,
        server_id=body.server_id,
        secret_id=body.secret_id,
        kind=body.kind,
        disclosed_by=body.disclosed_by,
        disclosed_at=body.disclosed_at,
        channel=body.channel,
    )
    return DisclosureView.of(disclosure)


@router.get("/contracts/{contract_id}/disclosures", callers=READERS, refusals=[NoSuchContract])
async def list_disclosures(contract_id: UUID, reader: Read, caller: CallerIn, paging: Paging) -> Page[DisclosureView]:
    """What was disclosed of the contract's servers, oldest first."""
    contract = await contracts.get(reader, contract_id, only_customer=caller.only_customer)
    found = await disclosures.page(reader, contract.id, after=paging.after, limit=paging.limit)
    return paging.page(found, DisclosureView.of, lambda disclosure: disclosure.id)


@router.post(
    "/disclosures/{disclosure_id}/confirm-replaced",
    callers=WRITERS,
    refusals=[NoSuchDisclosure, OralRequest, StillInTheVault, IllegalMove, StaleWrite],
)
async def confirm_replaced(disclosure_id: UUID, body: ConfirmReplaced, tx: Tx, caller: CallerIn) -> DisclosureView:
    """What the vault does not keep has been replaced; what it keeps is replaced there."""
    disclosure = await stories.confirm_replaced(
        tx, disclosure_id, only_customer=caller.only_customer, channel=body.channel
    )
    return DisclosureView.of(disclosure)
