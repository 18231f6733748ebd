"""Clocks are aware, in UTC, and never go back."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.kernel.clock import FixedClock, SystemClock, VirtualClock


def test_the_system_clock_is_corrected_by_its_measured_offset() -> None:
    clock = SystemClock()
    clock.correction = timedelta(hours=1)
    assert timedelta(minutes=59) < clock.now() - datetime.now(UTC) < timedelta(minutes=61)
    assert clock.now().tzinfo is UTC


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
