"""Reading the agreement: its versions, what one changes, whom it would reach, and each on paper."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Response
from pydantic import Field

from services.contracts.api import agreement_paper
from services.contracts.db import agreement_reach, agreements
from services.contracts.domain.agreement import Agreement, Language, NoSuchAgreement
from services.contracts.domain.agreement_diff import AgreementDiff, Change, Piece, diff_of
from services.contracts.domain.agreement_reach import AlreadyInEffect, Certainty, Span
from shared.kit.auth import ANYONE, Role
from shared.kit.fields import PlainText, View
from shared.kit.paging import Page, Paging
from shared.kit.routing import HouseRouter, Read

router = HouseRouter("/v1/agreements", tag="agreements")

LanguageIn = Annotated[Language, Query(description="the language of the text")]


class AgreementSummary(View):
    version: str
    effective_from: datetime
    current: bool
    languages: list[Language]


class AgreementList(View):
    items: list[AgreementSummary]


class AgreementView(View):
    """`sha256` is of the UTF-8 bytes of `text`; accepting names it. `clauses` names the clause of each parameter."""

    version: str
    language: Language
    text: str
    sha256: str = Field(description="lower-case hex SHA-256 of the UTF-8 bytes of `text`")
    effective_from: datetime
    parameters: dict[str, Any]
    parameters_sha256: str = Field(description="of the canonical JSON that is kept with the first acceptance")
    clauses: dict[str, str]

    @classmethod
    def of(cls, agreement: Agreement, language: Language) -> AgreementView:
        return cls(
            version=agreement.version,
            language=language,
            text=agreement.texts[language],
            sha256=agreement.sha256(language),
            effective_from=agreement.effective_from,
            parameters=agreement.parameters.shown(),
            parameters_sha256=agreement.terms_sha256,
            clauses=dict(agreement.clauses),
        )


class PieceView(View):
    piece: Piece
    text: str


class SectionDiffView(View):
    """A clause (1.1), the heading of a chapter (1), or what stands before them (0). The pieces that are not `added`
    joined are the old text, those that are not `removed` the new one.
    """

    number: str
    title: str
    change: Change
    pieces: list[PieceView]


class ParameterDiffView(View):
    name: str
    clause: str
    old: Any
    new: Any


class AgreementDiffView(View):
    """Only what differs."""

    old_version: str
    new_version: str
    language: Language
    sections: list[SectionDiffView]
    parameters: list[ParameterDiffView]

    @classmethod
    def of(cls, old: Agreement, new: Agreement, language: Language, diff: AgreementDiff) -> AgreementDiffView:
        return cls(
            old_version=old.version,
            new_version=new.version,
            language=language,
            sections=[
                SectionDiffView(
                    number=section.number,
                    title=section.title,
                    change=section.change,
                    pieces=[PieceView(piece=piece, text=text) for piece, text in section.pieces],
                )
                for section in diff.sections
            ],
            parameters=[ParameterDiffView.model_validate(each) for each in diff.parameters],
        )


class ReachedContract(View):
    """`opens_at` to `closes_at` is the window in which its next renewal is decided, unless it decides before."""

    contract_id: UUID
    customer_id: UUID
    agreement_version: str
    plan_code: str
    term_months: int
    opens_at: datetime
    closes_at: datetime
    certainty: Certainty


class ReachedPlanView(View):
    plan_code: str
    term_months: int
    contracts: int
    certain: int


class ReachPage(Page[ReachedContract]):
    """`plans` counts them all, on the first page."""

    version: str
    effective_from: datetime
    superseded_from: datetime | None
    plans: list[ReachedPlanView] | None


@router.get("", callers=ANYONE)
async def list_agreements(reader: Read) -> AgreementList:
    """All published versions, oldest first."""
    published = agreements.published()
    current = published.current(reader.now)
    versions = sorted(published.versions, key=lambda agreement: agreement.effective_from)
    return AgreementList(
        items=[
            AgreementSummary(
                version=agreement.version,
                effective_from=agreement.effective_from,
                current=agreement is current,
                languages=list(agreement.texts),
            )
            for agreement in versions
        ]
    )


@router.get("/current", callers=ANYONE, refusals=[NoSuchAgreement])
async def read_current_agreement(reader: Read, language: LanguageIn = Language.EN) -> AgreementView:
    """The newest version in effect: what a contract accepted now is made by."""
    return AgreementView.of(agreements.published().current(reader.now), language)


@router.get("/{version}", callers=ANYONE, refusals=[NoSuchAgreement])
async def read_agreement(version: str, _reader: Read, language: LanguageIn = Language.EN) -> AgreementView:
    """One version: exact text, its SHA-256 and the parameters."""
    return AgreementView.of(agreements.published().version(version), language)


@router.get("/{version}/diff", callers=ANYONE, refusals=[NoSuchAgreement])
async def diff_agreement(
    version: str,
    reader: Read,
    against: Annotated[
        Annotated[str, PlainText] | None,
        Query(max_length=agreements.LONGEST_VERSION, description="default the one in effect"),
    ] = None,
    language: LanguageIn = Language.EN,
) -> AgreementDiffView:
    """What this version changes against another, clause by clause and word by word, and its parameters."""
    published = agreements.published()
    new = published.version(version)
    old = published.current(reader.now) if against is None else published.version(against)
    return AgreementDiffView.of(old, new, language, await asyncio.to_thread(diff_of, old, new, language))


@router.get("/{version}/reach", callers={Role.ADMIN}, refusals=[NoSuchAgreement, AlreadyInEffect])
async def read_reach(version: str, reader: Read, paging: Paging) -> ReachPage:
    """The live contracts whose next renewal would be by this version, which is published and not yet in effect."""
    published = agreements.published()
    span = Span.of(published.version(version), published, reader.now)
    found = await agreement_reach.page(reader, span, after=paging.after, limit=paging.limit)
    counted = None if paging.after else await agreement_reach.counts(reader, span)
    shown: Page[ReachedContract] = paging.page(found, ReachedContract.model_validate, lambda each: each.contract_id)
    return ReachPage(
        items=shown.items,
        next_cursor=shown.next_cursor,
        version=span.version,
        effective_from=span.since,
        superseded_from=span.until,
        plans=None if counted is None else [ReachedPlanView.model_validate(each) for each in counted],
    )


@router.get(
    "/{version}/pdf",
    callers=ANYONE,
    refusals=[NoSuchAgreement],
    response_class=Response,
    response_model=None,
    responses=agreement_paper.RESPONSES,
)
async def print_agreement(version: str, _reader: Read, language: LanguageIn = Language.EN) -> Response:
    """One version on paper, with the SHA-256 of its text; the same bytes each time."""
    agreement = agreements.published().version(version)
    printed = await asyncio.to_thread(agreement_paper.printed, agreement, language)
    return agreement_paper.response(printed, f"agreement-{agreement.version}-{language}.pdf")
