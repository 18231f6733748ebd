"""Run the rows, print each as it finishes, write the report."""

from __future__ import annotations

import argparse
import asyncio
import logging
import time
import traceback
from contextlib import nullcontext
from pathlib import Path

import structlog
import uvloop
from rich.console import Console

from deploy.serving import settle
from tests.infrastructure.missing import Missing
from tests.performance import report
from tests.performance.figures import Figure
from tests.performance.profiling import profiled_here, show
from tests.performance.report import Told
from tests.performance.rows import ROWS, Row, audit, bus, company, http, partners, processes, timers  # noqa: F401
from tests.performance.stage import Stage, open_stage

DOCS = Path("docs/performance")


async def main(keys: list[str], *, quick: bool, profiled: bool, out: Path | None) -> None:
    console = Console(highlight=False)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    settle()  # As every process of the product does.
    told: dict[str, Told] = {}
    began = time.monotonic()
    with open_stage(quick=quick, profiled=profiled) as stage:
        try:
            with profiled_here() if profiled else nullcontext() as here:
                for key in keys:
                    told[key] = await _run(ROWS[key], stage, console)
        finally:
            await asyncio.to_thread(stage.close)
        if here is not None:
            show(stage.folder, here)
    console.print(f"{len(keys)} rows in {time.monotonic() - began:.0f} s")
    if out is not None:
        report.write(out, told, quick=quick)
        console.print(f"written to {out}")


async def _run(row: Row, stage: Stage, console: Console) -> Told:
    """Print each figure as soon as it is known."""
    figures: list[Figure] = []
    try:
        async for figure in row.run(stage):
            figures.append(figure)
            console.print(report.line(row.key, figure), soft_wrap=True)
    except Missing as missing:
        console.print(f"{row.key}: cannot run: {missing}", markup=False)
        return Told(figures, failed=str(missing))
    except Exception as error:
        console.print(traceback.format_exc(limit=-4), style="red", markup=False)
        return Told(figures, failed=f"{type(error).__name__}: {error}"[:300])
    return Told(figures)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.performance", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"any of {', '.join(ROWS)}; all by default")
    parser.add_argument("--quick", action="store_true", help="shorter and rougher")
    parser.add_argument("--out", type=Path, help=f"folder for the report; {DOCS} when all rows run in full")
    parser.add_argument("--profile", metavar="ROW", help="run this row alone and show where its time goes")
    arguments = parser.parse_args()
    if arguments.profile:
        arguments.rows = [arguments.profile]
    if unknown := set(arguments.rows) - ROWS.keys():
        parser.error(f"no such row: {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
    if not (arguments.rows or arguments.quick):
        arguments.out = arguments.out or DOCS
    return arguments


if __name__ == "__main__":
    asked = _arguments()
    rows = asked.rows or list(ROWS)
    uvloop.run(main(rows, quick=asked.quick, profiled=asked.profile is not None, out=asked.out))
