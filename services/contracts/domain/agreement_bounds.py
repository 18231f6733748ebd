"""What the parameters of an agreement version may be: a number that nobody could mean ends start-up."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from services.contracts.domain.agreement import UNTIL_THE_SERVICE_ENDS, Parameters

BOUNDS = {"minutes": (1, 10_080), "hours": (1, 8_784), "days": (0, 3_660)}
"""By the unit that ends the parameter's name: up to a week of minutes, a year of hours, ten years of days."""
NARROWER = {
    "renewal_window_days": (1, 27),
    "minimum_recovery_attempts": (1, 100),
    "refund_window_days": (1, 3_660),
    "warranty_lasts": (1, 3_660),
}
"""No window is as long as the shortest term; a refund or a warranty for no day at all is none."""
WORDS = {"warranty_lasts": UNTIL_THE_SERVICE_ENDS}
"""What may stand in the place of a number."""
OTHER_NUMBERS = (0, 1_000_000)
LARGEST_MAILING_FEE = 1_000_000
"""Minor units."""

_CODE = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


def what_is_wrong_with(parameters: Parameters) -> list[str]:
    """A line for each parameter that is out of bounds or of another kind than it has to be."""
    return [
        f"{field.name} {reason}"
        for field in fields(parameters)
        for reason in _wrong_with(field.name, str(field.type), getattr(parameters, field.name))
    ]


def _wrong_with(name: str, kind: str, value: Any) -> Iterator[str]:
    if value is None and "None" in kind:
        return
    if name in WORDS:
        least, most = bounds_of(name)
        if value != WORDS[name] and (type(value) is not int or not least <= value <= most):
            yield f"is {value!r}, and has to be {WORDS[name]}, or a whole number of days from {least} to {most}"
        return
    match kind.split(" | ")[0]:
        case "int":
            least, most = bounds_of(name)
            if type(value) is not int or not least <= value <= most:
                yield f"is {value!r}, and has to be a whole number from {least} to {most}"
        case "bool":
            if type(value) is not bool:
                yield f"is {value!r}, and has to be true or false"
        case "tuple[str, ...]":
            if not value or not all(isinstance(each, str) and _CODE.fullmatch(each) for each in value):
                yield "has to list codes: small letters, digits and hyphens"
            elif len(set(value)) != len(value):
                yield "lists something twice"
        case "Mapping[str, int]":
            yield from _wrong_with_amounts(value)
        case "str":
            if not isinstance(value, str) or not _CODE.fullmatch(value):
                yield f"is {value!r}, and has to be a code: small letters, digits and hyphens"


def bounds_of(name: str) -> tuple[int, int]:
    """The least and the most that a number of this name may be."""
    return NARROWER.get(name) or BOUNDS.get(name.rsplit("_", 1)[-1], OTHER_NUMBERS)


def _wrong_with_amounts(value: Any) -> Iterator[str]:
    if not isinstance(value, dict) or not value:
        yield "has to name an amount in minor units for each currency"
        return
    for currency, minor in value.items():
        if not re.fullmatch(r"[A-Z]{3}", currency):
            yield f"names {currency!r}, which is no currency"
        elif type(minor) is not int or not 0 <= minor <= LARGEST_MAILING_FEE:
            yield f"is {minor!r} in {currency}, and has to be a whole number from 0 to {LARGEST_MAILING_FEE}"
