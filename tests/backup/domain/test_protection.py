"""Slots, lateness, and what an end means."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.backup.domain.coverage import Terms
from services.backup.domain.protection import (
    ALERT_AFTER,
    ENDED,
    PURGED,
    WORD_WITHIN,
    DataNoLongerKept,
    Protection,
    start_protection,
)
from shared.kernel.ids import new_id

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def terms(**changes: Any) -> Terms:
    values: dict[str, Any] = {
        "agreement_version": "2026-01",
        "period_index": 1,
        "period_ends_at": NOON + 30 * DAY,
        "every_hours": 24,
        "restore_target_hours": 4,
        "retention_days": 30,
    }
    return Terms(**(values | changes))


def a_protection(**changes: Any) -> Protection:
    return start_protection(
        new_id(),
        contract_id=new_id(),
        server_id=new_id(),
        customer_id=new_id(),
        terms=terms(**changes),
        now=NOON,
    )


def test_the_first_slot_is_now() -> None:
    protection = a_protection()
    slot = protection.take_due_slot(NOON)
    assert slot is not None
    assert (slot.at, slot.passed_by) == (NOON, 0)
    assert protection.take_due_slot(NOON) is None


def test_after_a_jump_only_the_latest_slot_is_taken() -> None:
    protection = a_protection()
    protection.take_due_slot(NOON)
    slot = protection.take_due_slot(NOON + 10 * DAY + timedelta(hours=5))
    assert slot is not None
    assert (slot.at, slot.passed_by) == (NOON + 10 * DAY, 9)
    assert protection.next_slot_at == NOON + 11 * DAY
    assert protection.missed_slots == 9


def test_a_slot_past_the_paid_period_waits_for_word_of_what_comes_next() -> None:
    ends_at = NOON + 30 * DAY
    protection = a_protection()
    slot = protection.take_due_slot(ends_at + timedelta(seconds=1))
    assert slot is not None
    assert slot.at == ends_at - DAY
    assert protection.take_due_slot(ends_at + timedelta(seconds=1)) is None
    assert protection.look_again_at(ends_at + timedelta(seconds=1)) == ends_at + WORD_WITHIN


def test_a_renewal_ends_the_waiting_and_silence_does_too() -> None:
    ends_at = NOON + 30 * DAY
    renewed, silent = a_protection(), a_protection()
    for protection in (renewed, silent):
        protection.take_due_slot(ends_at - DAY)
        assert protection.take_due_slot(ends_at) is None
    renewed.change_terms(terms(period_index=2, period_ends_at=ends_at + 30 * DAY))
    for protection, now in ((renewed, ends_at), (silent, ends_at + WORD_WITHIN)):
        slot = protection.take_due_slot(now)
        assert slot is not None
        assert slot.at == ends_at


@given(
    every=st.integers(1, 400),
    steps=st.lists(st.integers(0, 10**7), min_size=1, max_size=20),
)
def test_slots_lie_on_the_grid_increase_and_none_is_lost(every: int, steps: list[int]) -> None:
    protection = a_protection(every_hours=every, period_ends_at=NOON + 10_000 * DAY)
    now, taken, passed_by = NOON, [], 0
    for step in steps:
        now += timedelta(seconds=step)
        slot = protection.take_due_slot(now)
        if slot is not None:
            assert slot.at <= now < slot.at + protection.every
            taken.append(slot.at)
            passed_by += slot.passed_by
    assert all(earlier < later for earlier, later in pairwise(taken))
    assert all((at - NOON) % protection.every == timedelta() for at in taken)
    assert len(taken) + passed_by == (now - NOON) // protection.every + 1
    assert protection.missed_slots == passed_by


@pytest.mark.parametrize(
    ("late", "overdue"), [(ALERT_AFTER - timedelta(microseconds=1), False), (ALERT_AFTER, True), (DAY, True)]
)
def test_a_missing_backup_is_overdue_after_the_alert_time(late: timedelta, overdue: bool) -> None:
    protection = a_protection()
    protection.take_due_slot(NOON)
    assert protection.is_overdue(NOON + late) is overdue


def test_a_schedule_that_stands_still_is_overdue_too() -> None:
    assert a_protection().is_overdue(NOON + ALERT_AFTER)


def test_a_success_covers_its_slot() -> None:
    protection = a_protection()
    protection.take_due_slot(NOON)
    protection.record_success(new_id(), slot_at=NOON, now=NOON)
    assert not protection.is_overdue(NOON + DAY + ALERT_AFTER - timedelta(seconds=1))
    assert protection.is_overdue(NOON + DAY + ALERT_AFTER)


def test_a_late_success_of_an_older_slot_leaves_the_newer_one_uncovered() -> None:
    protection = a_protection()
    protection.take_due_slot(NOON)
    protection.take_due_slot(NOON + DAY)
    protection.record_success(new_id(), slot_at=NOON, now=NOON + DAY)
    assert protection.uncovered_since == NOON + DAY
    newest = new_id()
    protection.record_success(newest, slot_at=NOON + DAY, now=NOON + DAY)
    protection.record_success(new_id(), slot_at=NOON, now=NOON + DAY)
    assert protection.last_success_run_id == newest
    assert protection.uncovered_since is None


def test_a_shorter_interval_brings_the_next_slot_forward() -> None:
    protection = a_protection()
    protection.take_due_slot(NOON)
    assert protection.change_terms(terms(period_index=2, every_hours=6))
    assert protection.next_slot_at == NOON + timedelta(hours=6)
    assert not protection.change_terms(terms(period_index=2, every_hours=6))


def test_an_end_keeps_the_data_for_the_retention_period() -> None:
    protection = a_protection()
    protection.end(ended_at=NOON + DAY, retention_days=10)
    assert protection.status == ENDED
    assert protection.take_due_slot(NOON + 2 * DAY) is None
    assert not protection.is_overdue(NOON + 9 * DAY)
    assert not protection.may_be_purged(NOON + 11 * DAY - timedelta(microseconds=1))
    assert protection.may_be_purged(NOON + 11 * DAY)
    protection.require_data()
    protection.purge()
    assert protection.status == PURGED
    with pytest.raises(DataNoLongerKept) as refused:
        protection.require_data()
    assert (refused.value.cited_clause, refused.value.agreement_version) == ("2.2", "2026-01")


def test_a_reinstated_service_is_backed_up_at_once() -> None:
    protection = a_protection()
    protection.take_due_slot(NOON)
    protection.end(ended_at=NOON + DAY, retention_days=10)
    protection.resume(NOON + 2 * DAY)
    assert not protection.may_be_purged(NOON + 100 * DAY)
    slot = protection.take_due_slot(NOON + 2 * DAY)
    assert slot is not None
    assert slot.at == NOON + 2 * DAY
