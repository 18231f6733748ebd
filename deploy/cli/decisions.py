"""Judges decisions again: the same facts by the same agreement version give the same verdict."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import typer

from deploy.cli.operator import opened
from deploy.cli.output import AsJson, Exit, complain, print_json, print_table
from deploy.progress import Progress
from deploy.services import SERVICES
from deploy.serving import settle
from shared.kernel.judgement import Outcome
from shared.kit.rulebook import Decision
from shared.kit.runtime import Runtime

commands = typer.Typer(help="What was decided.", no_args_is_help=True)
MOST_NAMED = 100
"""Decisions that differ are counted all, and named up to this many per service."""


@dataclass
class Found:
    """Decisions of one service by outcome, and those that came out otherwise."""

    service: str
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    different: list[Decision] = field(default_factory=list)

    def add(self, decision: Decision) -> None:
        outcome = decision.replayed.outcome
        self.outcomes[outcome] += 1
        if outcome is Outcome.DIFFERENT and len(self.different) < MOST_NAMED:
            self.different.append(decision)


@commands.callback()
def _group() -> None:
    """What was decided."""


@commands.command("replay")
def replay(
    service: Annotated[
        Literal["all", "contracts", "billing", "backup", "notify"], typer.Argument(help="Whose decisions.")
    ] = "all",
    as_json: AsJson = False,
) -> None:
    """Judge every decision again by its own agreement version; 1 naming those that come out otherwise.

    Unjudged are decisions that are older than the rules and kept no parameters.
    """
    found = asyncio.run(_replay(SERVICES if service == "all" else (service,)))
    if as_json:
        print_json({each.service: _shown(each) for each in found})
    else:
        rows = [[each.service, *(each.outcomes[outcome] for outcome in Outcome)] for each in found]
        print_table("Decisions judged again", ["service", *Outcome], rows)
        complain(_told(each.service, decision) for each in found for decision in each.different)
    if any(each.outcomes[Outcome.DIFFERENT] for each in found):
        raise typer.Exit(Exit.FAILED)


async def _replay(services: tuple[str, ...]) -> list[Found]:
    found = []
    for service in services:
        async with opened(service) as runtime:
            settle()
            found.append(await _replay_one(runtime))
    return found


async def _replay_one(runtime: Runtime) -> Found:
    found, progress = Found(runtime.name), Progress(f"Judging the decisions of {runtime.name} again")
    async for decision in runtime.rules.replay_all(runtime.database):
        found.add(decision)
        progress.at(found.outcomes.total())
    progress.end()
    return found


def _shown(found: Found) -> dict[str, Any]:
    named = [
        {
            "id": each.id,
            "kind": each.kind,
            "agreement_version": each.agreement_version,
            "verdict": each.verdict.word,
            "clause": each.verdict.clause,
            "again": each.replayed.again and each.replayed.again.word,
            "clause_again": each.replayed.again and each.replayed.again.clause,
            "trouble": each.replayed.trouble,
        }
        for each in found.different
    ]
    return {**{outcome.value: found.outcomes[outcome] for outcome in Outcome}, "named": named}


def _told(service: str, decision: Decision) -> str:
    again = decision.replayed.again
    now = f"{again.word} by {again.clause}" if again else "no verdict"
    trouble = f" ({decision.replayed.trouble})" if decision.replayed.trouble else ""
    then = f"{decision.verdict.word} by {decision.verdict.clause}"
    return f"{service}: {decision.kind} {decision.id} was {then}, and comes out as {now}{trouble}"
