"""`mainstay agreement`: what a version of the agreement changes, and whom it reaches, also before it is published."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn
from uuid import UUID

import typer
from rich.text import Text

from deploy.cli.operator import opened
from deploy.cli.output import AsJson, Exit, complain, console, print_json, print_table

if TYPE_CHECKING:
    from services.contracts.domain.agreement import Agreement
    from services.contracts.domain.agreement_diff import AgreementDiff
    from services.contracts.domain.agreement_reach import Reached, ReachedPlan

commands = typer.Typer(help="Versions of the agreement.", no_args_is_help=True)

MOST_LISTED = 200


@commands.callback()
def _group() -> None:
    """Versions of the agreement."""


@commands.command("diff")
def diff(
    old: Annotated[str, typer.Argument(help="A published version.")],
    new: Annotated[str | None, typer.Argument(help="Another published version.")] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Instead of NEW: the folder of a version that is not published yet.")
    ] = None,
    language: Annotated[str, typer.Option(help="en or zh.")] = "en",
    as_json: AsJson = False,
) -> None:
    """Show what NEW changes against OLD: clauses word by word, [-taken away-] and {+added+}, and parameters."""
    from services.contracts.domain.agreement import Language
    from services.contracts.domain.agreement_diff import diff_of

    if (new is None) == (folder is None):
        _fail("Name either a second version or --folder.", Exit.WRONG_SETTINGS)
    if language not in {each.value for each in Language}:
        _fail(f"The languages are {', '.join(Language)}.", Exit.WRONG_SETTINGS)
    before, after = _published(old), _read(folder) if folder else _published(str(new))
    found = diff_of(before, after, Language(language))
    if as_json:
        print_json(_diff_shown(before, after, found))
        return
    for section in found.sections:
        console.print(Text(f"{section.number} {section.title} ({section.change})".strip(), style="bold"))
        console.print(Text(section.marked.strip() + "\n"))
    rows = [(each.clause, each.name, str(each.old), str(each.new)) for each in found.parameters]
    print_table("Parameters", ("clause", "parameter", before.version, after.version), rows)


@commands.command("reach")
def reach(
    version: Annotated[str, typer.Argument(help="A published version that is not in effect yet, or a folder of one.")],
    after: Annotated[UUID | None, typer.Option(help="List the contracts after this one.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show which contracts would renew by a version that takes effect in the future, by plan, and the first of them."""
    folder = Path(version)
    agreement = _read(folder) if folder.is_dir() else _published(version)
    plans, contracts, more = asyncio.run(_reach(agreement, after))
    if as_json:
        print_json(
            {
                "version": agreement.version,
                "effective_from": agreement.effective_from,
                "plans": [vars(each) for each in plans],
                "contracts": [vars(each) for each in contracts],
                "next_after": contracts[-1].contract_id if more else None,
            }
        )
        return
    print_table(
        f"Plans whose contracts renew by {agreement.version}, in effect from {agreement.effective_from:%Y-%m-%d %H:%M}",
        ("plan", "months", "contracts", "certain"),
        [(each.plan_code, each.term_months, each.contracts, each.certain) for each in plans],
    )
    print_table(
        "Contracts",
        ("id", "agreement", "plan", "window opens", "closes", "certainty"),
        [
            (each.contract_id, each.agreement_version, each.plan_code, each.opens_at, each.closes_at, each.certainty)
            for each in contracts
        ],
    )
    if more:
        console.print(f"There are more: --after {contracts[-1].contract_id}")


async def _reach(agreement: Agreement, after: UUID | None) -> tuple[list[ReachedPlan], list[Reached], bool]:
    from services.contracts.db import agreement_reach, agreements
    from services.contracts.domain.agreement_reach import Span

    async with opened("contracts") as runtime, runtime.database.reading() as reader:
        span = Span.of(agreement, agreements.published(), reader.now)
        plans = await agreement_reach.counts(reader, span)
        found = await agreement_reach.page(reader, span, after=after, limit=MOST_LISTED)
    return plans, found[:MOST_LISTED], len(found) > MOST_LISTED


def _published(version: str) -> Agreement:
    """Raises NoSuchAgreement."""
    from services.contracts.db import agreements

    return _or_fail(lambda: agreements.published().version(version))


def _read(folder: Path) -> Agreement:
    from services.contracts.db import agreements

    return _or_fail(lambda: agreements.read_version(folder.resolve()))


def _or_fail(read: Callable[[], Agreement]) -> Agreement:
    try:
        return read()
    except ValueError as unusable:
        _fail(str(unusable), Exit.FAILED)


def _fail(reason: str, code: Exit) -> NoReturn:
    complain([reason])
    raise typer.Exit(code)


def _diff_shown(old: Agreement, new: Agreement, found: AgreementDiff) -> dict[str, Any]:
    return {
        "old_version": old.version,
        "new_version": new.version,
        "sections": [
            {
                "number": section.number,
                "title": section.title,
                "change": section.change,
                "pieces": [{"piece": piece, "text": text} for piece, text in section.pieces],
            }
            for section in found.sections
        ],
        "parameters": [vars(each) for each in found.parameters],
    }
