"""A service's rules over its decision rows: judging what was decided once more."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import cast
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Row

from shared.kernel.errors import NotFound
from shared.kernel.judgement import Facts, Judged, Judgements, Outcome, Replayed, Verdict
from shared.kit.db import Database
from shared.kit.tables import decisions

PAGE = 1_000


def every_rule_of(domain: ModuleType) -> Judgements:
    """The `judgements` of a service's domain, once each of its modules has said its rules.

    A process that serves no requests imports few of them, and judges every kind again all the same.
    """
    for module in iter_modules(domain.__path__, f"{domain.__name__}."):
        import_module(module.name)
    return cast(Judgements, import_module(f"{domain.__name__}.judgements").judgements)


@dataclass(frozen=True)
class Decision:
    """A decision row that is judged again."""

    id: UUID
    kind: str
    agreement_version: str
    verdict: Verdict
    replayed: Replayed


@dataclass(frozen=True)
class Rulebook:
    """The rules, and where an agreement version's parameters are; else those that a decision kept are its own."""

    judgements: Judgements = field(default_factory=Judgements)
    parameters_of: Callable[[str], Facts] | None = None

    def replay(self, row: Row[tuple[object, ...]]) -> Decision:
        """Judge the facts of the row by the parameters of its own agreement version."""
        verdict = Verdict(row.verdict, row.clause)
        return Decision(row.id, row.kind, row.agreement_version, verdict, self._replay(row, verdict))

    def _replay(self, row: Row[tuple[object, ...]], verdict: Verdict) -> Replayed:
        if row.parameters is None:
            return Replayed(Outcome.UNJUDGED, trouble="decided before decisions kept their parameters")
        try:
            parameters = self.parameters_of(row.agreement_version) if self.parameters_of else row.parameters
        except NotFound as missing:
            return Replayed(Outcome.DIFFERENT, trouble=missing.code())
        return self.judgements.replay(row.kind, row.facts, Judged(verdict, row.parameters), parameters)

    async def replay_all(self, database: Database) -> AsyncIterator[Decision]:
        """Every decision of the service, oldest first, read page by page."""
        after: UUID | None = None
        while True:
            query = sa.select(decisions).order_by(decisions.c.id).limit(PAGE)
            async with database.reading() as reader:
                rows = await reader.rows(query if after is None else query.where(decisions.c.id > after))
            for row in rows:
                yield self.replay(row)
            if len(rows) < PAGE:
                return
            after = rows[-1].id
