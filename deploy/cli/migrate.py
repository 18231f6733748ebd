"""`mainstay migrate`: databases brought up to date in two phases, beside traffic, or only the SQL of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

import typer

from deploy import environment
from deploy.cli.output import AsJson, Exit, complain, print_json, print_table
from deploy.opening import migrate, open_explained, pending
from deploy.services import SERVICES
from shared.kernel.errors import Refusal
from shared.kit import migrations, presence, safe_sql
from shared.kit.revision_files import Revision, statements_of
from shared.kit.runtime import Runtime
from shared.kit.version import release

Target = Literal["all", "contracts", "billing", "backup", "notify"]
T = TypeVar("T")


def add_to(app: typer.Typer) -> None:
    app.command("migrate", rich_help_panel="Look after")(migrate_databases)


def migrate_databases(
    service: Annotated[Target, typer.Argument(help="Which service's database.")] = "all",
    contract: Annotated[
        bool, typer.Option("--contract", help="Also take away what no running process needs any more.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print the SQL; nothing is changed.")] = False,
    as_json: AsJson = False,
) -> None:
    """Bring databases up to date beside traffic; several processes may do so at once.

    Revisions that add are applied up to the first that takes something away. Those, and what follows them, need
    --contract and are refused while a process runs that is too old for them. A new database gets all of them.
    """
    names = SERVICES if service == "all" else (service,)
    if dry_run:
        _plan(asyncio.run(_each(names, lambda runtime: _planned(runtime, contract=contract))), as_json)
    else:
        _report(asyncio.run(_each(names, lambda runtime: _applied(runtime, contract=contract))), as_json)


async def _each(names: tuple[str, ...], work: Callable[[Runtime], Awaitable[T]]) -> dict[str, T]:
    common = environment.read_common()
    found: dict[str, T] = {}
    for name, settings in environment.read_all(names).items():
        runtime = open_explained(name, common, settings)
        try:
            found[name] = await work(runtime)
        finally:
            await runtime.close()
    return found


@dataclass(frozen=True)
class Outcome:
    applied: list[str]
    pending: list[Revision]
    refusal: Refusal | None


async def _applied(runtime: Runtime, *, contract: bool) -> Outcome:
    before = await pending(runtime)
    refusal: Refusal | None = None
    try:
        await migrate(runtime, contract=contract)
    except Refusal as refused:
        refusal = refused
    left = await pending(runtime)
    return Outcome([step.number for step in before if step not in left], left, refusal)


def _report(outcomes: dict[str, Outcome], as_json: bool) -> None:
    refusals = {name: outcome.refusal for name, outcome in outcomes.items() if outcome.refusal is not None}
    if as_json:
        print_json(
            {
                "applied": {name: outcome.applied for name, outcome in outcomes.items()},
                "pending": {name: [step.number for step in outcome.pending] for name, outcome in outcomes.items()},
                "refused": {name: {"code": one.code(), "detail": one.detail} for name, one in refusals.items()},
            }
        )
    else:
        print_table("Applied", ["service", "revision"], _rows({name: one.applied for name, one in outcomes.items()}))
        waiting = {name: one.pending for name, one in outcomes.items() if one.pending and one.refusal is None}
        for name, steps in waiting.items():
            print(
                f"{name}: revision {steps[0].number} takes away what releases before {steps[0].oldest_version} need: "
                f"run `mainstay migrate {name} --contract` when none of them runs or will have to be brought back."
            )
    complain(f"{name}: {refusal.detail}" for name, refusal in refusals.items())
    if refusals:
        raise typer.Exit(Exit.FAILED)


def _rows(applied: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [(name, revision) for name, revisions in applied.items() for revision in revisions]


async def _planned(runtime: Runtime, *, contract: bool) -> list[dict[str, Any]]:
    """What would be run, by revision; `runs` is False for what waits for --contract, `refused` says why it would be."""
    before = await migrations.current(runtime.database)
    new, runs, found = before is None, True, []
    for step in await pending(runtime):
        runs = runs and (step.phase == "expand" or contract or new)
        statements = statements_of(runtime.migrations, step, before=before, dialect=runtime.database.dialect)
        beside_traffic = runtime.database.dialect == "postgresql" and not new
        refused = list(safe_sql.complaints(step, statements)) if beside_traffic else []
        if step.oldest_version is not None and not new:
            refused += await _too_old_for(step.oldest_version, runtime)
        found.append(
            {
                "revision": step.number,
                "title": step.title,
                "phase": step.phase,
                "oldest_version": step.oldest_version,
                "runs": runs,
                "refused": refused,
                "statements": _with_locks(statements, beside_traffic),
            }
        )
        before = step.number
    return found


async def _too_old_for(version: str, runtime: Runtime) -> list[str]:
    async with runtime.database.reading() as reader:
        running = await presence.running(reader)
    return [f"still runs: {one}" for one in running if release(one.version) < release(version)]


def _with_locks(statements: list[str], beside_traffic: bool) -> list[dict[str, str]]:
    if not beside_traffic:
        return [{"sql": statement, "lock": safe_sql.NO_LOCK} for statement in statements]
    verdicts = safe_sql.judged(statements)
    return [{"sql": sql, "lock": verdict.lock} for sql, verdict in zip(statements, verdicts, strict=True)]


def _plan(found: dict[str, list[dict[str, Any]]], as_json: bool) -> None:
    if as_json:
        print_json({"pending": found})
    else:
        for service, revisions in found.items():
            _print_sql(service, revisions)
    if any(one["runs"] and one["refused"] for revisions in found.values() for one in revisions):
        raise typer.Exit(Exit.FAILED)


def _print_sql(service: str, revisions: list[dict[str, Any]]) -> None:
    if not revisions:
        print(f"-- {service}: nothing is pending")
    for one in revisions:
        waits = "" if one["runs"] else " (waits for --contract)"
        print(f"-- {service} {one['revision']}, {one['phase']}{waits}: {one['title']}")
        for reason in one["refused"]:
            print(f"-- refused: {reason}")
        for statement in one["statements"]:
            if statement["lock"] != safe_sql.NO_LOCK:
                print(f"-- locks {statement['lock']}")
            print(f"{statement['sql']};")
        print()
