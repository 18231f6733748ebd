"""Partners and their links to customers."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Query

from services.notify.db import partners as stored
from services.notify.domain.partner import (
    AlreadyLinked,
    LinkStatus,
    NoSuchLink,
    NoSuchPartner,
    NotYourself,
    Partner,
    PartnerLink,
)
from services.notify.use_cases import partners
from shared.events.registry import partner_topic
from shared.kernel.channels import OralRequest
from shared.kernel.errors import IllegalMove
from shared.kit.auth import Caller, Role
from shared.kit.fields import Body, Line, View
from shared.kit.paging import Page, Paging
from shared.kit.routing import CallerIn, HouseRouter, Read, Tx

router = HouseRouter("/v1/partners", tag="partners")
links = HouseRouter("/v1/partner-links", tag="partners")

LINKERS = {Role.CUSTOMER, Role.SUPPORT, Role.ADMIN}


class PartnerBody(Body):
    name: Line


class PartnerView(View):
    """`topic` is the one Kafka topic this partner may read; `topic_ready_at` tells since when it exists."""

    id: UUID
    name: str
    topic: str
    created_at: datetime
    topic_ready_at: datetime | None


class LinkBody(Body):
    partner_id: UUID
    customer_id: UUID
    channel: Line


class EndLinkBody(Body):
    channel: Line


class LinkView(View):
    id: UUID
    partner_id: UUID
    customer_id: UUID
    status: LinkStatus
    linked_at: datetime
    ended_at: datetime | None


@router.post("", callers={Role.ADMIN}, status_code=201)
async def register_partner(body: PartnerBody, tx: Tx) -> PartnerView:
    """Register a partner; its topic is made at once."""
    return _partner_view(await partners.register_partner(tx, name=body.name))


@router.get("", callers={Role.ADMIN, Role.SUPPORT})
async def list_partners(reader: Read, paging: Paging) -> Page[PartnerView]:
    """All partners."""
    found = await stored.page(reader, after=paging.after, limit=paging.limit)
    return paging.page(found, _partner_view, lambda partner: partner.id)


@links.post("", callers=LINKERS, status_code=201, refusals=[OralRequest, NotYourself, NoSuchPartner, AlreadyLinked])
async def link_partner(body: LinkBody, tx: Tx, caller: CallerIn) -> LinkView:
    """Let the partner read the redacted facts about the customer from now on."""
    link = await partners.link_partner(
        tx,
        partner_id=body.partner_id,
        customer_id=body.customer_id,
        channel=body.channel,
        only_customer=caller.only_customer,
    )
    return _link_view(link)


@links.post("/{link_id}/end", callers=LINKERS, refusals=[OralRequest, NoSuchLink, IllegalMove])
async def end_partner_link(link_id: UUID, body: EndLinkBody, tx: Tx, caller: CallerIn) -> LinkView:
    """From now on the partner reads nothing new about the customer."""
    return _link_view(await partners.end_link(tx, link_id, channel=body.channel, only_customer=caller.only_customer))


@links.get("", callers=LINKERS | {Role.PARTNER})
async def list_partner_links(
    reader: Read,
    caller: CallerIn,
    paging: Paging,
    partner_id: Annotated[UUID | None, Query()] = None,
    customer_id: Annotated[UUID | None, Query()] = None,
    status: Annotated[LinkStatus | None, Query()] = None,
) -> Page[LinkView]:
    """Links, ended ones included; customers and partners see their own."""
    only_customer, only_partner = _own(caller, customer_id, partner_id)
    found = await stored.page_of_links(
        reader,
        only_customer=only_customer,
        only_partner=only_partner,
        status=status,
        after=paging.after,
        limit=paging.limit,
    )
    return paging.page(found, _link_view, lambda link: link.id)


def _own(caller: Caller, customer_id: UUID | None, partner_id: UUID | None) -> tuple[UUID | None, UUID | None]:
    """The filters asked for, narrowed to what the caller may see."""
    if caller.is_staff:
        return customer_id, partner_id
    if Role.CUSTOMER in caller.roles:
        return _narrowed(customer_id, caller.customer_id), partner_id
    return customer_id, _narrowed(partner_id, caller.partner_id)


def _narrowed(asked: UUID | None, own: UUID | None) -> UUID:
    """The caller's own; who asks for another's finds nothing."""
    return own if own is not None and asked in {None, own} else UUID(int=0)


def _partner_view(partner: Partner) -> PartnerView:
    return PartnerView.model_validate({**vars(partner), "topic": partner_topic(partner.id)})


def _link_view(link: PartnerLink) -> LinkView:
    return LinkView.model_validate(link)
