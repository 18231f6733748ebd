"""What dies again and again is started ever more slowly; what ran well for a while is started at once."""

from __future__ import annotations

import pytest

from deploy.restarting import FIRST_PAUSE_SECONDS, STEADY_SECONDS, pause_after


@pytest.mark.parametrize(
    ("pause", "ran_seconds", "following"),
    [
        (None, 0.0, FIRST_PAUSE_SECONDS),
        (0.5, 0.1, 1.0),
        (8.0, 0.1, 15.0),
        (15.0, STEADY_SECONDS, 15.0),
        (15.0, STEADY_SECONDS + 1, FIRST_PAUSE_SECONDS),
    ],
)
def test_the_pause_before_a_start_tells_how_it_went_before(
    pause: float | None, ran_seconds: float, following: float
) -> None:
    assert pause_after(pause, ran_seconds, longest=15.0) == following
