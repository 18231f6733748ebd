"""The warranty's time, by two parameters of the agreement, and whether a claim is due."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contracts.db import agreements
from services.contracts.domain.agreement import UNTIL_THE_SERVICE_ENDS
from services.contracts.domain.judgements import judgements
from services.contracts.domain.warranty import claiming, warranty_of
from tests.support.judging import Judged

BEGAN = datetime(2030, 3, 28, 11, tzinfo=UTC)  # 12:00 in Berlin, three days before the clocks change
DAY = timedelta(days=1)
STARTING = agreements.parameters_of("2026-1")
LASTING = STARTING | {"warranty_starts_after_days": 0, "warranty_lasts": 7}
CLAIM: dict[str, Any] = {
    "agreement_version": "2026-1",
    "channel": "portal",
    "zone": "Europe/Berlin",
    "began_at": BEGAN.isoformat(),
    "ended_at": None,
    "claimed_at": (BEGAN + 7 * DAY).isoformat(),
    "work": {"work_request_id": "01a20700-0000-7000-8000-000000000000", "status": "completed"},
    "under_way": None,
}
A_MOMENT_BEFORE = {"claimed_at": (BEGAN + 7 * DAY - timedelta(microseconds=1)).isoformat()}

JUDGED = [
    Judged(claiming, "granted", "6.1", CLAIM, STARTING),
    Judged(claiming, "WarrantyNotOpen", "6.1", CLAIM | A_MOMENT_BEFORE, STARTING),
    Judged(claiming, "WarrantyOver", "6.1", CLAIM, LASTING),
    Judged(claiming, "granted", "6.1", CLAIM | A_MOMENT_BEFORE, LASTING),
    Judged(claiming, "granted", "6.1", CLAIM | {"claimed_at": BEGAN.isoformat()}, LASTING),
    Judged(claiming, "WarrantyOver", "6.1", CLAIM | {"ended_at": CLAIM["claimed_at"]}, STARTING),
    Judged(claiming, "granted", "6.1", CLAIM | {"claimed_at": (BEGAN + 4000 * DAY).isoformat()}, STARTING),
    Judged(claiming, "WarrantyOver", "6.1", CLAIM | A_MOMENT_BEFORE | {"ended_at": BEGAN.isoformat()}, STARTING),
    Judged(claiming, "refused", "3.1", CLAIM | {"channel": "telephone"}, STARTING),
    Judged(claiming, "NothingUnderWarranty", "6.1", CLAIM | {"work": None}, STARTING),
    Judged(claiming, "NothingUnderWarranty", "6.1", CLAIM | {"work": CLAIM["work"] | {"status": "failed"}}, STARTING),
    Judged(claiming, "granted", "6.1", CLAIM | {"work": CLAIM["work"] | {"status": "signed_off"}}, STARTING),
    Judged(claiming, "AlreadyClaimed", "6.1", CLAIM | {"under_way": "01a20700-0000-7000-8000-000000000001"}, STARTING),
]


@pytest.mark.parametrize("example", JUDGED, ids=str)
def test_the_verdict_follows_from_the_facts(example: Judged) -> None:
    example.insist(judgements)


@given(
    after=st.integers(0, 400),
    lasts=st.one_of(st.just(UNTIL_THE_SERVICE_ENDS), st.integers(1, 400)),
    ended=st.one_of(st.none(), st.integers(0, 1000)),
    zone=st.sampled_from(["Europe/Berlin", "Asia/Shanghai", "America/New_York", "UTC"]),
)
def test_it_never_outlasts_the_service_and_days_are_never_short(
    after: int, lasts: str | int, ended: int | None, zone: str
) -> None:
    ended_at = None if ended is None else BEGAN + ended * DAY
    warranty = warranty_of(BEGAN, ended_at=ended_at, zone=zone, starts_after_days=after, lasts=lasts)
    assert warranty.opens_at >= BEGAN + after * DAY
    assert warranty.opens_at - (BEGAN + after * DAY) <= timedelta(hours=1)
    if ended_at is not None:
        assert warranty.ends_at is not None
        assert warranty.ends_at <= ended_at
        assert not warranty.is_open(ended_at)
    elif isinstance(lasts, int):
        assert warranty.ends_at is not None
        assert warranty.ends_at - warranty.opens_at >= lasts * DAY
    else:
        assert warranty.ends_at is None


@pytest.fixture
def other_reading(tmp_path: Path) -> Path:
    """A version of the agreement whose warranty lasts seven days from the beginning."""
    folder = Path(shutil.copytree(agreements.FOLDER / "2026-1", tmp_path / "2031-1"))
    _write(folder, "warranty_starts_after_days = 7", "warranty_starts_after_days = 0")
    _write(
        folder, 'warranty_lasts = "until-the-service-ends"', 'warranty_lasts = 7\n\n["6.2"]\nrefund_window_days = 14'
    )
    return folder


def test_both_readings_are_what_a_folder_may_say(other_reading: Path) -> None:
    shown = agreements.read_version(other_reading).parameters.shown()
    names = ("warranty_starts_after_days", "warranty_lasts", "refund_window_days")
    assert [shown[name] for name in names] == [0, 7, 14]
    assert [STARTING[name] for name in names] == [7, "until-the-service-ends", None]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ('warranty_lasts = "for-ever"', "warranty_lasts is 'for-ever', and has to be until-the-service-ends, or"),
        ("warranty_lasts = 0", "warranty_lasts is 0"),
        ("warranty_lasts = true", "warranty_lasts is True"),
        ("warranty_lasts = 9\nrefund_window_days = 0", "refund_window_days is 0"),
    ],
)
def test_a_warranty_or_refund_of_no_day_is_found_when_it_is_read(other_reading: Path, given: str, reason: str) -> None:
    _write(other_reading, "\nrefund_window_days = 14", "" if "refund" in given else "\nrefund_window_days = 14")
    _write(other_reading, "warranty_lasts = 7", given)
    with pytest.raises(agreements.UnusableFolder, match=reason):
        agreements.read_version(other_reading)


def _write(folder: Path, old: str, new: str) -> None:
    file = folder / "parameters.toml"
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")
