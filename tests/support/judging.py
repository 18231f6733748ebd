"""Examples of decisions: facts, parameters, and the verdict that follows from them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.kernel.errors import Refusal
from shared.kernel.judgement import Judgement, Judgements, Outcome


@dataclass(frozen=True)
class Judged:
    """One example; modules below `tests/<service>` list theirs as `JUDGED`, where tests/structure looks for them.

    `word`: the verdict's, or the code of the refusal that the rule raises; `clause` likewise, None where it has none.
    """

    judgement: Judgement
    word: str
    clause: str | None
    facts: Mapping[str, Any]
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.judgement.kind}-{self.word}"

    def insist(self, judgements: Judgements) -> None:
        """The verdict follows from the facts as they are stored, the first time and again."""
        facts, parameters = json.loads(json.dumps([self.facts, self.parameters]))
        try:
            judged = self.judgement.judge(facts, parameters)
        except Refusal as raised:
            refusal = raised
        else:
            assert (judged.verdict.word, judged.verdict.clause) == (self.word, self.clause)
            assert judgements.replay(self.judgement.kind, facts, judged, parameters).outcome is Outcome.SAME
            return
        assert (refusal.code(), refusal.cited_clause) == (self.word, self.clause)
