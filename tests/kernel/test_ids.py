"""Ids are UUIDv7 and sort by the time they were made."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.kernel.ids import new_id


def test_an_id_is_a_version_7_uuid_of_now() -> None:
    before = time.time_ns() // 1_000_000
    made = new_id()
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert before - 1 <= made.int >> 80 <= time.time_ns() // 1_000_000 + 1


def test_ids_of_one_process_increase_strictly() -> None:
    made = [new_id() for _ in range(5_000)]
    assert made == sorted(set(made))


def test_ids_made_by_many_threads_differ() -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: new_id(), range(4_000)))
    assert len(set(made)) == len(made)


def test_ids_increase_also_when_the_clock_steps_back(monkeypatch: pytest.MonkeyPatch) -> None:
    first = new_id()
    earlier = time.time_ns() - 3_600 * 10**9
    monkeypatch.setattr(time, "time_ns", lambda: earlier)
    assert new_id() > first
