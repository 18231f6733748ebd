"""What a consumer makes of a number: the next, a duplicate, or a gap."""

from __future__ import annotations

import pytest

from shared.kit.bus.positions import Position, Verdict, judge


@pytest.mark.parametrize(
    ("last", "event", "from_the_beginning", "verdict"),
    [
        (None, (1, 1), True, Verdict.NEXT),
        (None, (1, 2), True, Verdict.GAP),
        (None, (1, 2), False, Verdict.NEXT),
        (None, (9, 1), True, Verdict.NEXT),
        ((1, 1), (1, 2), True, Verdict.NEXT),
        ((1, 1), (1, 1), True, Verdict.DUPLICATE),
        ((1, 5), (1, 2), True, Verdict.DUPLICATE),
        ((1, 5), (1, 7), True, Verdict.GAP),
        ((1, 5), (1, 7), False, Verdict.GAP),
        ((1, 5), (2, 1), True, Verdict.NEXT),
        ((1, 5), (7, 1), True, Verdict.NEXT),
        ((1, 5), (2, 2), True, Verdict.GAP),
        ((2, 1), (1, 6), True, Verdict.DUPLICATE),
        ((1, 0), (1, 1), True, Verdict.NEXT),
    ],
)
def test_the_number_decides(
    last: tuple[int, int] | None, event: tuple[int, int], from_the_beginning: bool, verdict: Verdict
) -> None:
    before = None if last is None else Position(*last)
    assert judge(before, Position(*event), from_the_beginning=from_the_beginning) is verdict
