"""Money is whole minor units; rounding happens once."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.kernel.errors import Invalid
from shared.kernel.money import (
    LARGEST_MINOR,
    CurrencyMismatch,
    Money,
    RoundingMode,
    UnknownCurrency,
    exponent_of,
    share,
    total,
)

amounts = st.integers(-(10**12), 10**12)


@pytest.mark.parametrize(
    ("money", "text"),
    [
        (Money(9900, "EUR"), "99.00 EUR"),
        (Money(5, "CNY"), "0.05 CNY"),
        (Money(-5, "USD"), "-0.05 USD"),
        (Money(1200, "JPY"), "1200 JPY"),
        (Money(1234, "KWD"), "1.234 KWD"),
    ],
)
def test_an_amount_is_written_with_the_digits_of_its_currency(money: Money, text: str) -> None:
    assert str(money) == text


@pytest.mark.parametrize("currency", ["eur", "XXX", "EURO", "", "DEM"])
def test_a_currency_that_iso_4217_does_not_list_is_refused(currency: str) -> None:
    with pytest.raises(UnknownCurrency):
        Money(1, currency)


def test_amounts_of_different_currencies_are_not_combined() -> None:
    with pytest.raises(CurrencyMismatch):
        Money(1, "EUR") + Money(1, "USD")
    with pytest.raises(CurrencyMismatch):
        Money(1, "EUR") - Money(1, "USD")


def test_an_amount_beyond_the_range_is_refused() -> None:
    with pytest.raises(Invalid):
        Money(LARGEST_MINOR + 1, "EUR")


@given(st.lists(amounts, max_size=30))
def test_a_total_is_the_sum_of_its_parts(parts: list[int]) -> None:
    assert total([Money(part, "EUR") for part in parts], "EUR") == Money(sum(parts), "EUR")


@given(amounts, amounts)
def test_subtracting_undoes_adding(first: int, second: int) -> None:
    assert Money(first, "EUR") + Money(second, "EUR") - Money(second, "EUR") == Money(first, "EUR")


@pytest.mark.parametrize(
    ("minor", "mode", "expected"),
    [
        (250, RoundingMode.HALF_EVEN, 2),
        (350, RoundingMode.HALF_EVEN, 4),
        (250, RoundingMode.HALF_UP, 3),
        (-250, RoundingMode.HALF_UP, -3),
        (249, RoundingMode.HALF_UP, 2),
    ],
)
def test_a_share_is_rounded_by_its_mode(minor: int, mode: RoundingMode, expected: int) -> None:
    assert share(Money(minor, "EUR"), Decimal(1), mode) == Money(expected, "EUR")


@given(amounts, st.decimals(0, 100, places=3), st.sampled_from(RoundingMode))
def test_a_share_is_never_more_than_half_a_minor_unit_off(minor: int, rate: Decimal, mode: RoundingMode) -> None:
    exact = Decimal(minor) * rate / 100
    assert abs(Decimal(share(Money(minor, "EUR"), rate, mode).minor) - exact) <= Decimal("0.5")


@pytest.mark.parametrize(("currency", "digits"), [("EUR", 2), ("JPY", 0), ("KWD", 3), ("CNY", 2)])
def test_the_exponent_comes_from_iso_4217(currency: str, digits: int) -> None:
    assert exponent_of(currency) == digits
