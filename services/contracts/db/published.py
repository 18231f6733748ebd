"""Whether what is published is still what somebody accepted or bought."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from services.contracts.db.tables import accepted_texts, accepted_versions, bought_plans
from services.contracts.domain.agreement import Agreements, Language
from services.contracts.domain.catalogue import Catalogue
from shared.kit.db import Reader


async def changed_since(reader: Reader, agreements: Agreements, catalogue: Catalogue) -> list[str]:
    """What was accepted or bought and is not published like that any more: a line each, naming file and reason."""
    return [
        *_changed_texts(await reader.rows(_TEXTS), agreements),
        *_changed_terms(await reader.rows(_TERMS), agreements),
        *_changed_plans(await reader.rows(_PLANS), catalogue),
    ]


_TEXTS = sa.select(accepted_texts.c.agreement_version, accepted_texts.c.language, accepted_texts.c.text_sha256)
_TERMS = sa.select(accepted_versions.c.agreement_version, accepted_versions.c.terms_sha256)
_PLANS = sa.select(bought_plans.c.plan_code, bought_plans.c.plan_version, bought_plans.c.definition_sha256)


def _changed_texts(rows: Any, agreements: Agreements) -> Iterator[str]:
    known = {agreement.version: agreement for agreement in agreements.versions}
    for row in rows:
        file = f"agreements/{row.agreement_version}/{row.language}.md"
        agreement = known.get(row.agreement_version)
        if agreement is None:
            yield f"{file}: customers accepted this version, and it is gone"
        elif agreement.sha256(Language(row.language)) != row.text_sha256:
            yield f"{file}: customers accepted another text, with SHA-256 {row.text_sha256}"


def _changed_terms(rows: Any, agreements: Agreements) -> Iterator[str]:
    known = {agreement.version: agreement for agreement in agreements.versions}
    for row in rows:
        agreement = known.get(row.agreement_version)
        if agreement is not None and agreement.terms_sha256 != row.terms_sha256:
            file = f"agreements/{row.agreement_version}/parameters.toml"
            yield f"{file}: customers accepted other parameters, with SHA-256 {row.terms_sha256}"


def _changed_plans(rows: Any, catalogue: Catalogue) -> Iterator[str]:
    known = {(plan.code, plan.version): plan for plan in catalogue.plans}
    for row in rows:
        plan = known.get((row.plan_code, row.plan_version))
        named = f"catalogue.toml: plan {row.plan_code}, version {row.plan_version}"
        if plan is None:
            yield f"{named}: somebody bought it, and it is gone"
        elif plan.definition_sha256 != row.definition_sha256:
            yield f"{named}: somebody bought it with another definition, with SHA-256 {row.definition_sha256}"
