"""Reading one clause of the agreement, by itself or beside the decision that rests on it."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Path
from pydantic import Field

from services.contracts.api.agreements import LanguageIn
from services.contracts.db import acceptances, agreements
from services.contracts.domain.agreement import Language, NoSuchAgreement
from services.contracts.domain.clause import NoSuchClause, clause_of, clauses_of
from shared.kit.auth import ANYONE
from shared.kit.db import Reader
from shared.kit.decisions import ClauseText, DecisionView
from shared.kit.fields import View
from shared.kit.routing import HouseRouter, Read

router = HouseRouter("/v1/agreements/{version}/clauses", tag="agreements")


class OneClauseView(View):
    """`text` is the exact paragraph out of the text whose SHA-256 is `text_sha256`."""

    agreement_version: str
    language: Language
    number: str
    title: str
    text: str
    text_sha256: str = Field(description="lower-case hex SHA-256 of the agreement's whole text in this language")


@router.get("/{number}", callers=ANYONE, refusals=[NoSuchAgreement, NoSuchClause])
async def read_clause(
    version: str,
    number: Annotated[str, Path(description="as it is numbered in the text, such as 3.2")],
    _reader: Read,
    language: LanguageIn = Language.EN,
) -> OneClauseView:
    """One clause: the exact text that decisions cite by its number."""
    agreement = agreements.published().version(version)
    clause = clause_of(agreement.texts[language], number)
    return OneClauseView(
        agreement_version=agreement.version,
        language=language,
        number=clause.number,
        title=clause.title,
        text=clause.text,
        text_sha256=agreement.sha256(language),
    )


async def cite(reader: Reader, decision: DecisionView) -> ClauseText | None:
    """The decision's clause out of the very text that this customer had accepted when it was decided.

    Before it accepted any, the published text of that version in its own language.
    """
    accepted = await _text_for(reader, decision)
    if accepted is None:
        return None
    language, text = accepted
    clause = clauses_of(text).get(decision.clause)
    return ClauseText(language=language.value, title=clause.title, text=clause.text) if clause else None


async def _text_for(reader: Reader, decision: DecisionView) -> tuple[Language, str] | None:
    facts, contract_ids = decision.facts, [decision.subject_id]
    if "contract_id" in facts:
        contract_ids.append(UUID(facts["contract_id"]))
    accepted = await acceptances.text_accepted(
        reader,
        decision.customer_id,
        agreement_version=decision.agreement_version,
        by=decision.decided_at,
        contract_ids=contract_ids,
        period_index=facts.get("period_index"),
    )
    if accepted is not None:
        return accepted
    language = await acceptances.language_of(reader, decision.customer_id)
    versions = {each.version: each for each in agreements.published().versions}
    published = versions.get(decision.agreement_version)
    return (language, published.texts[language]) if language and published else None
