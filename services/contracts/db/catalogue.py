"""The catalogue out of its file, read once and checked as it is read."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from services.contracts.domain.agreement import Language
from services.contracts.domain.catalogue import Catalogue, Operation, Plan
from services.contracts.domain.risk import Evidence, Lowering
from services.contracts.domain.service_hours import service_hours_in
from shared.kernel.errors import Refusal
from shared.kernel.money import LARGEST_MINOR, Money, exponent_of
from shared.kernel.period import LONGEST_TERM_MONTHS

FILE = Path(__file__).parent.parent / "catalogue.toml"
MOST_VERSIONS = 10_000
RAREST_BACKUP_HOURS = 8_784

T = TypeVar("T")

_CODE = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")
_NAMES = {language.value for language in Language}
_PLAN_NEEDS = {"code", "version", "fee_minor", "currency", "term_months", "operations", "service_hours"} | _NAMES
_PLAN_MAY = {"local_backup_every_hours", "offered_from", "offered_until"}


class UnusableCatalogue(ValueError):
    """What is wrong with the catalogue, naming the plan or operation."""


@lru_cache(maxsize=1)
def published() -> Catalogue:
    """What this process was started with; raises UnusableCatalogue."""
    return read_file(FILE)


def read_file(file: Path) -> Catalogue:
    """Raises UnusableCatalogue."""
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UnusableCatalogue(f"{file.name}: cannot be read: {error}") from None
    try:
        operations = tuple(_each(document, "operations", _operation))
        plans = tuple(_each(document, "plans", _plan))
        _check_together(plans, operations)
    except (ValueError, Refusal) as error:
        raise UnusableCatalogue(f"{file.name}: {error}") from None
    return Catalogue(plans, operations)


def _each(document: Mapping[str, Any], kind: str, read: Callable[[dict[str, Any]], T]) -> Iterable[T]:
    for number, row in enumerate(document.get(kind, ()), 1):
        code = row.get("code")
        try:
            yield read(row)
        except KeyError as missing:
            raise ValueError(f"{kind} {code or number}: lacks {missing.args[0]}") from None
        except (ValueError, TypeError, Refusal) as error:
            raise ValueError(f"{kind} {code or number}: {error}") from None


def _operation(row: dict[str, Any]) -> Operation:
    return Operation(
        code=row["code"],
        names=_names(row),
        likelihood=_whole(row, "likelihood", 1, 5),
        impact=_whole(row, "impact", 1, 5),
        lowered_by=tuple(_lowering(lowering) for lowering in row.get("lowered_by", ())),
    )


def _lowering(row: dict[str, Any]) -> Lowering:
    return Lowering(**{**row, "evidence": Evidence(row["evidence"])})


def _plan(row: dict[str, Any]) -> Plan:
    if unknown := sorted(set(row) - _PLAN_NEEDS - _PLAN_MAY):
        raise ValueError(f"nobody knows {', '.join(unknown)}")
    if not isinstance(row["code"], str) or not _CODE.fullmatch(row["code"]):
        raise ValueError("a code is small letters, digits, dots, hyphens and underscores")
    exponent_of(row["currency"])
    plan = Plan(
        code=row["code"],
        version=_whole(row, "version", 1, MOST_VERSIONS),
        names=_names(row),
        fee=Money(_whole(row, "fee_minor", 1, LARGEST_MINOR), row["currency"]),
        term_months=_whole(row, "term_months", 1, LONGEST_TERM_MONTHS),
        operations=frozenset(row["operations"]),
        service_hours=service_hours_in(row["service_hours"]),
        local_backup_every_hours=(
            _whole(row, "local_backup_every_hours", 1, RAREST_BACKUP_HOURS)
            if "local_backup_every_hours" in row
            else None
        ),
        offered_from=_instant(row, "offered_from"),
        offered_until=_instant(row, "offered_until"),
    )
    if plan.offered_from and plan.offered_until and plan.offered_from >= plan.offered_until:
        raise ValueError("offered_until is not after offered_from")
    return plan


def _check_together(plans: tuple[Plan, ...], operations: tuple[Operation, ...]) -> None:
    known = {operation.code for operation in operations}
    if len(known) != len(operations):
        raise ValueError("an operation is listed twice")
    if len({(plan.code, plan.version) for plan in plans}) != len(plans):
        raise ValueError("a version of a plan is listed twice")
    for plan in plans:
        if unknown := plan.operations - known:
            raise ValueError(f"plans {plan.code}: unknown operations {sorted(unknown)}")


def _names(row: dict[str, Any]) -> dict[Language, str]:
    names = {language: row[language.value] for language in Language}
    if not all(isinstance(name, str) and 0 < len(name.strip()) <= 200 for name in names.values()):
        raise ValueError("a name is a line of up to 200 characters")
    return names


def _whole(row: dict[str, Any], name: str, least: int, most: int) -> int:
    value = row[name]
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"{name} is {value!r}, and has to be a whole number from {least} to {most}")
    return value


def _instant(row: dict[str, Any], name: str) -> datetime | None:
    value = row.get(name)
    if value is None:
        return None
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ValueError(f"{name} has to be an instant with its offset: 2027-01-01T00:00:00Z")
    return value.astimezone(UTC)
