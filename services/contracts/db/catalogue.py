"""The catalogue out of its file, read once."""

from __future__ import annotations

import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Any

from services.contracts.domain.agreement import Language
from services.contracts.domain.catalogue import Catalogue, Operation, Plan
from services.contracts.domain.risk import Evidence, Lowering
from shared.kernel.money import Money

FILE = Path(__file__).parent.parent / "catalogue.toml"


@lru_cache(maxsize=1)
def published() -> Catalogue:
    """What this process was started with."""
    return read_file(FILE)


def read_file(file: Path) -> Catalogue:
    """Raises ValueError for a plan whose operation is not listed, or that is listed twice."""
    document = tomllib.loads(file.read_text(encoding="utf-8"))
    operations = tuple(
        Operation(
            code=row["code"],
            names=_names(row),
            likelihood=row["likelihood"],
            impact=row["impact"],
            lowered_by=tuple(_lowering(lowering) for lowering in row.get("lowered_by", ())),
        )
        for row in document["operations"]
    )
    plans = tuple(_plan(row) for row in document["plans"])
    known = {operation.code for operation in operations}
    if len({(plan.code, plan.version) for plan in plans}) != len(plans):
        raise ValueError("a version of a plan is listed twice")
    for plan in plans:
        if unknown := plan.operations - known:
            raise ValueError(f"{plan.code}: unknown operations {sorted(unknown)}")
    return Catalogue(plans, operations)


def _lowering(row: dict[str, Any]) -> Lowering:
    return Lowering(**{**row, "evidence": Evidence(row["evidence"])})


def _plan(row: dict[str, Any]) -> Plan:
    return Plan(
        code=row["code"],
        version=row["version"],
        names=_names(row),
        fee=Money(row["fee_minor"], row["currency"]),
        term_months=row["term_months"],
        operations=frozenset(row["operations"]),
    )


def _names(row: dict[str, Any]) -> dict[Language, str]:
    return {language: row[language.value] for language in Language}
