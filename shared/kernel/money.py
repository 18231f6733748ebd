"""Money in whole minor units with an ISO 4217 currency; rounding happens once, in one named function."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from enum import StrEnum

from shared.kernel.errors import Invalid

# ISO 4217, active codes; the exponent is 2 unless named below.
_TWO_DIGITS = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF "
    "CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF "
    "IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR "
    "MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD "
    "SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD YER "
    "ZAR ZMW ZWG"
)
_EXPONENTS: dict[str, int] = {
    **dict.fromkeys(_TWO_DIGITS.split(), 2),
    **dict.fromkeys("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF".split(), 0),
    **dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3),
}
LARGEST_MINOR = 10**15  # fits a JSON number and a BIGINT with room for sums


class UnknownCurrency(Invalid):
    """This is not an active ISO 4217 currency code."""


class CurrencyMismatch(Invalid):
    """Amounts of different currencies cannot be combined."""


class RoundingMode(StrEnum):
    HALF_EVEN = "half-even"
    HALF_UP = "half-up"


_DECIMAL_MODES = {RoundingMode.HALF_EVEN: ROUND_HALF_EVEN, RoundingMode.HALF_UP: ROUND_HALF_UP}


def exponent_of(currency: str) -> int:
    """Digits after the decimal point (ISO 4217); raises UnknownCurrency."""
    try:
        return _EXPONENTS[currency]
    except KeyError:
        raise UnknownCurrency(f"{currency!r} is not an ISO 4217 code in use.", field="currency") from None


@dataclass(frozen=True, order=False)
class Money:
    """`minor` whole minor units (cents) of `currency`."""

    minor: int
    currency: str

    def __post_init__(self) -> None:
        exponent_of(self.currency)
        if abs(self.minor) > LARGEST_MINOR:
            raise Invalid("The amount is out of range.", field="amount")

    def __add__(self, other: Money) -> Money:
        return Money(self.minor + self._same(other), self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(self.minor - self._same(other), self.currency)

    def __str__(self) -> str:
        digits = exponent_of(self.currency)
        return f"{Decimal(self.minor).scaleb(-digits):.{digits}f} {self.currency}"

    def _same(self, other: Money) -> int:
        if other.currency != self.currency:
            raise CurrencyMismatch(f"{self.currency} and {other.currency}", field="currency")
        return other.minor


def total(amounts: Iterable[Money], currency: str) -> Money:
    """The sum in `currency`; zero for nothing; raises CurrencyMismatch."""
    result = Money(0, currency)
    for amount in amounts:
        result = result + amount
    return result


def share(amount: Money, rate_percent: Decimal, mode: RoundingMode) -> Money:
    """`rate_percent` per cent of `amount`, rounded once to a whole minor unit by `mode`."""
    exact = Decimal(amount.minor) * rate_percent / Decimal(100)
    return Money(int(exact.quantize(Decimal(1), rounding=_DECIMAL_MODES[mode])), amount.currency)
