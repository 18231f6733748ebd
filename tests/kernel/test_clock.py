"""Clocks are aware, in UTC, and never go back."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.kernel.clock import FixedClock, SystemClock, VirtualClock, elapsed

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def test_the_system_clock_is_the_machines_until_it_is_set() -> None:
    clock = SystemClock()
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(minutes=1)
    assert not clock.is_set_within(3600)
    clock.set(NOON, elapsed(), within=0.1)
    assert timedelta() <= clock.now() - NOON < timedelta(minutes=1)


def test_a_clock_that_was_set_goes_on_by_elapsed_time() -> None:
    clock = SystemClock()
    clock.set(NOON, elapsed() - 60, within=0.1)
    assert timedelta(seconds=60) <= clock.now() - NOON < timedelta(seconds=120)


def test_a_slow_answer_does_not_spoil_a_clock_that_is_known_better() -> None:
    clock, at = SystemClock(), elapsed()
    clock.set(NOON, at, within=0.01)
    clock.set(NOON + timedelta(seconds=4), at + 1, within=4)
    assert clock.now() - NOON < timedelta(seconds=3)
    # What a crystal may have strayed meanwhile outweighs the slow answer at last.
    clock.set(NOON + timedelta(hours=9), at + 10_000, within=4)
    assert clock.now() - NOON > timedelta(hours=1)


def test_a_virtual_clock_moves_forward_only() -> None:
    clock = VirtualClock()
    to = datetime.now(UTC) + timedelta(days=30)
    clock.advance_to(to)
    assert timedelta() <= clock.now() - to < timedelta(minutes=1)
    with pytest.raises(ValueError, match="does not go back"):
        clock.advance_to(to - timedelta(days=1))


def test_a_fixed_clock_stands_still() -> None:
    noon = datetime(2030, 1, 1, 12, tzinfo=UTC)
    assert FixedClock(noon).now() == FixedClock(noon).now() == noon
