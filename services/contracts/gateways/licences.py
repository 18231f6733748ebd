"""Licence expressions, checked against the SPDX licence list by its library."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from license_expression import ExpressionError, ExpressionParseError, Licensing, get_spdx_licensing

from services.contracts.domain.software import UnknownLicence

LONGEST_EXPRESSION = 200
_REFERENCE = re.compile(r"LicenseRef-[A-Za-z0-9.-]{1,100}")


def checked(expression: str, *, field: str, agreement_version: str | None = None) -> str:
    """The expression as SPDX writes it; `LicenseRef-…` stands for a licence of one's own. Raises UnknownLicence."""
    found = normal(expression)
    if found is None:
        raise UnknownLicence(
            "Give an expression of SPDX identifiers, or LicenseRef- and a name for a licence that has none.",
            field=field,
            agreement_version=agreement_version,
        )
    return found


@lru_cache(maxsize=10_000)
def normal(expression: str) -> str | None:
    """As SPDX writes it; None for what is no expression of SPDX identifiers and LicenseRefs."""
    if len(expression) > LONGEST_EXPRESSION:
        return None
    try:
        parsed: Any = _licensing().parse(expression, validate=False, strict=True)
    except (ExpressionError, ExpressionParseError):
        return None
    if parsed is None:
        return None
    unknown = _licensing().unknown_license_keys(parsed)
    return None if any(not _REFERENCE.fullmatch(key) for key in unknown) else str(parsed.render())


def reference(name: str) -> str:
    """For a licence that is named in words only."""
    return f"LicenseRef-{re.sub(r'[^A-Za-z0-9.-]+', '-', name).strip('-')[:100] or 'unnamed'}"


@lru_cache(maxsize=1)
def _licensing() -> Licensing:
    """The SPDX list, which takes a while to read."""
    return get_spdx_licensing()
