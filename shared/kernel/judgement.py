"""Judgements: pure rules from facts and parameters to a verdict, so that a decision can be made again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

from shared.kernel.errors import NotFound, Refusal

Facts: TypeAlias = Mapping[str, Any]
"""JSON-ready values by name, as they are kept beside the decision."""


class NoSuchJudgement(NotFound):
    """There is no rule for decisions of this kind."""


@dataclass(frozen=True)
class Verdict:
    """The outcome in one word, and the clause of the agreement that it rests on."""

    word: str
    clause: str


Rule: TypeAlias = Callable[[Facts, Facts], Verdict]
"""Facts and the parameters of the accepted agreement version, by name, to a verdict; raises the refusal that is due."""


@dataclass(frozen=True)
class Judged:
    """A verdict with those parameters that the rule looked at."""

    verdict: Verdict
    parameters: dict[str, Any]


@dataclass(frozen=True)
class Judgement:
    """The rule for one kind of decision."""

    kind: str
    rule: Rule

    def judge(self, facts: Facts, parameters: Facts) -> Judged:
        """Raises what the rule raises, and KeyError for a fact or parameter that it misses."""
        noted = _Noted(parameters)
        verdict = self.rule(facts, noted)
        return Judged(verdict, {name: parameters[name] for name in sorted(noted.read)})


class Outcome(StrEnum):
    """Of judging a decision again. `unjudged`: it is older than the rules, and kept no parameters to judge it by."""

    SAME = "same"
    DIFFERENT = "different"
    UNJUDGED = "unjudged"


@dataclass(frozen=True)
class Replayed:
    """What the rule says of the same facts now; `trouble` is why it says nothing, or not the same."""

    outcome: Outcome
    again: Verdict | None = None
    trouble: str | None = None


class Judgements:
    """The rules of one service by kind of decision."""

    def __init__(self) -> None:
        self._of: dict[str, Judgement] = {}

    def on(self, kind: str) -> Callable[[Rule], Judgement]:
        """Make the function the rule of that kind; there is one per kind."""

        def keep(rule: Rule) -> Judgement:
            if kind in self._of:
                raise ValueError(f"{kind} has two rules")
            return self._of.setdefault(kind, Judgement(kind, rule))

        return keep

    @property
    def kinds(self) -> list[str]:
        return sorted(self._of)

    def of(self, kind: str) -> Judgement:
        """Raises NoSuchJudgement."""
        try:
            return self._of[kind]
        except KeyError:
            raise NoSuchJudgement() from None

    def replay(self, kind: str, facts: Facts, kept: Judged, parameters: Facts) -> Replayed:
        """Judge the facts of a decision again by `parameters`, which should be those that it was judged by."""
        try:
            again = self.of(kind).judge(facts, parameters)
        except Refusal as refusal:
            return Replayed(Outcome.DIFFERENT, trouble=refusal.code())
        except (LookupError, TypeError, ValueError) as error:
            return Replayed(Outcome.DIFFERENT, trouble=f"the facts do not suffice: {error!r}")
        changed = sorted(name for name, value in kept.parameters.items() if parameters.get(name) != value)
        if changed:
            return Replayed(Outcome.DIFFERENT, again.verdict, f"judged by another {', '.join(changed)}")
        return Replayed(Outcome.SAME if again.verdict == kept.verdict else Outcome.DIFFERENT, again.verdict)


class _Noted(Mapping[str, Any]):
    """Parameters that remember which of them were read."""

    def __init__(self, parameters: Facts) -> None:
        self._parameters = parameters
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        value = self._parameters[name]
        self.read.add(name)
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def __len__(self) -> int:
        return len(self._parameters)
