"""Reading the agreement."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import Query
from pydantic import Field

from services.contracts.db import agreements
from services.contracts.domain.agreement import Agreement, Language, NoSuchAgreement
from shared.kit.auth import ANYONE
from shared.kit.fields import View
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
    """`sha256` is of the UTF-8 bytes of `text`; accepting names it."""

    version: str
    language: Language
    text: str
    sha256: str = Field(description="lower-case hex SHA-256 of the UTF-8 bytes of `text`")
    effective_from: datetime
    parameters: dict[str, Any]

    @classmethod
    def of(cls, agreement: Agreement, language: Language) -> AgreementView:
        return cls(
            version=agreement.version,
            language=language,
            text=agreement.texts[language],
            sha256=agreement.sha256(language),
            effective_from=agreement.effective_from,
            parameters=agreement.parameters.shown(),
        )


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
