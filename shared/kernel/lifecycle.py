"""A lifecycle is a table: which verb leads from which states to which."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from shared.kernel.errors import IllegalMove

S = TypeVar("S", bound=StrEnum)


@dataclass(frozen=True)
class Move(Generic[S]):
    verb: str
    sources: frozenset[S]
    target: S


class Lifecycle(Generic[S]):
    """The moves of one noun; a verb may have several rows as long as their sources are disjoint."""

    def __init__(self, noun: str, moves: Iterable[tuple[str, Iterable[S], S]]) -> None:
        self.noun = noun
        self.moves = [Move(verb, frozenset(sources), target) for verb, sources, target in moves]
        self._table: dict[tuple[str, S], S] = {}
        for move in self.moves:
            for source in move.sources:
                if (move.verb, source) in self._table:
                    raise ValueError(f"{noun}: {move.verb} from {source} is declared twice")
                self._table[move.verb, source] = move.target

    @property
    def verbs(self) -> list[str]:
        return sorted({move.verb for move in self.moves})

    def allows(self, verb: str, status: S) -> bool:
        return (verb, status) in self._table

    def after(self, verb: str, status: S) -> S:
        """The state that follows; raises IllegalMove naming noun, verb and state."""
        if verb not in self.verbs:
            raise ValueError(f"{self.noun} has no verb {verb}")
        try:
            return self._table[verb, status]
        except KeyError:
            raise IllegalMove(
                f"A {self.noun} that is {status} does not {verb}.",
                noun=self.noun,
                verb=verb,
                state=str(status),
            ) from None
