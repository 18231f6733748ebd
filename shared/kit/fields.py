"""Strict input types: one place that settles hostile values the same on SQLite and PostgreSQL."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, date, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, StringConstraints

from shared.kernel.money import LARGEST_MINOR, Money, exponent_of

_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})  # controls, surrogates, line and paragraph separators
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)


class Body(BaseModel):
    """Base of every request body: unknown fields are refused, nothing is coerced from another JSON type."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class View(BaseModel):
    """Base of every response body."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


def _normal(value: Any) -> Any:
    # Before the length is checked: normalising can make a text three times as long.
    return unicodedata.normalize("NFC", value) if isinstance(value, str) else value


def _plain(text: str) -> str:
    if any(unicodedata.category(character) in _UNPRINTABLE or character in _BIDI for character in text):
        raise ValueError("must not hold control or direction-changing characters")
    return text


def _plain_lines(text: str) -> str:
    _plain(text.replace("\n", " ").replace("\t", " "))
    return text


def _plain_secret(value: SecretStr) -> SecretStr:
    _plain_lines(value.get_secret_value().replace("\r", " "))
    return value


def _only_text(value: Any) -> Any:
    if not isinstance(value, str) or not _RFC_3339.fullmatch(value):
        raise ValueError("must be an RFC 3339 date and time with an offset")
    return value


def _aware(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("must have an offset")
    try:
        utc = value.astimezone(UTC)
    except OverflowError:
        raise ValueError("is out of range") from None
    if not EARLIEST <= utc < LATEST:
        raise ValueError("is out of range")
    return utc


def _only_day(value: Any) -> Any:
    if not isinstance(value, str) or not _DAY.fullmatch(value):
        raise ValueError("must be a date such as 2030-01-31")
    return value


def _in_range(value: date) -> date:
    if not EARLIEST.date() <= value < LATEST.date():
        raise ValueError("is out of range")
    return value


def _currency(code: str) -> str:
    exponent_of(code)
    return code


def _currency_code(code: str) -> str:
    try:
        return _currency(code)
    except Exception:
        raise ValueError("is not an ISO 4217 code in use") from None


PlainText = AfterValidator(_plain)
"""For texts of another form than a line: refuses control and direction-changing characters."""

Line = Annotated[
    str,
    StringConstraints(strict=True, strip_whitespace=True, min_length=1, max_length=200),
    AfterValidator(_plain),
    BeforeValidator(_normal),
]
"""One line of text, 1 to 200 characters."""
Paragraph = Annotated[
    str,
    StringConstraints(strict=True, strip_whitespace=True, min_length=1, max_length=4000),
    AfterValidator(_plain_lines),
    BeforeValidator(_normal),
]
"""Up to 4,000 characters, line breaks allowed."""
SecretText = Annotated[SecretStr, AfterValidator(_plain_secret)]
"""Exactly as it was sent, never shown; line breaks of every kind allowed."""
Code = Annotated[str, StringConstraints(strict=True, pattern=r"^[a-z0-9][a-z0-9._-]{0,79}$")]
"""A catalogue code."""
Sha256 = Annotated[str, StringConstraints(strict=True, pattern=r"^[0-9a-f]{64}$")]
Whole = Annotated[int, Field(strict=True, ge=-(2**53) + 1, le=2**53 - 1)]
"""A JSON integer every client can hold."""
Flag = Annotated[bool, Field(strict=True)]
When = Annotated[datetime, BeforeValidator(_only_text), AfterValidator(_aware)]
"""An RFC 3339 instant with an offset, 1970 to 8999, as UTC."""
Day = Annotated[date, BeforeValidator(_only_day), AfterValidator(_in_range)]
"""A calendar day, 1970 to 8999; which instants it spans depends on a zone."""
Currency = Annotated[str, StringConstraints(strict=True, pattern=r"^[A-Z]{3}$"), AfterValidator(_currency_code)]


class AmountIn(Body):
    """Money in: whole minor units, more than nothing."""

    minor: Annotated[int, Field(strict=True, gt=0, le=LARGEST_MINOR)]
    currency: Currency

    def money(self) -> Money:
        return Money(self.minor, self.currency)


class AmountOut(View):
    """Money out: whole minor units, and the same as text for people."""

    minor: int
    currency: str
    text: str

    @classmethod
    def of(cls, money: Money) -> AmountOut:
        return cls(minor=money.minor, currency=money.currency, text=str(money))
