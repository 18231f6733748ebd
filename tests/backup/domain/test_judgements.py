"""Facts of each kind of decision of backup, and the verdict that follows from them."""

from __future__ import annotations

import pytest

from services.backup.domain.judgements import judgements
from services.backup.domain.protection import ending, purging, resuming, starting
from services.backup.domain.restore import concluding
from tests.support.judging import Judged

NUMBERS = {"local_backup_every_hours": 24, "restore_target_hours": 4, "retention_days": 30}
START = {"served": True, "every_hours": 24}
RESUMPTION = START | {"data_kept": True}
END = {"ended_at": "2030-01-01T00:00:00+00:00", "retain_until": "2030-01-31T00:00:00+00:00"}
PURGE = {"ended_at": "2030-01-01T00:00:00+00:00", "purged_at": "2030-01-31T00:00:00+00:00"}
TOO_EARLY = "2030-01-30T23:59:59.999999+00:00"
RESTORE = {
    "requested_at": "2030-01-01T00:00:00+00:00",
    "finished_at": "2030-01-01T04:00:00+00:00",
    "reason": None,
}

JUDGED = [
    Judged(starting, "started", "2.2", START, NUMBERS),
    Judged(starting, "not-started", "2.2", START | {"served": False}, NUMBERS),
    Judged(starting, "not-started", "2.2", START, NUMBERS | {"local_backup_every_hours": 12}),
    Judged(resuming, "resumed", "2.2", RESUMPTION, NUMBERS),
    Judged(resuming, "not-resumed", "2.2", RESUMPTION | {"data_kept": False}, NUMBERS),
    Judged(ending, "ended", "2.2", END, NUMBERS),
    Judged(ending, "kept-too-short", "2.2", END | {"retain_until": TOO_EARLY}, NUMBERS),
    Judged(ending, "kept-too-short", "2.2", END, NUMBERS | {"retention_days": 60}),
    Judged(purging, "retention-over", "2.2", PURGE, NUMBERS),
    Judged(purging, "kept", "2.2", PURGE | {"purged_at": TOO_EARLY}, NUMBERS),
    Judged(concluding, "within-target", "2.2", RESTORE, NUMBERS),
    Judged(concluding, "late", "2.2", RESTORE | {"finished_at": "2030-01-01T04:00:00.000001+00:00"}, NUMBERS),
    Judged(concluding, "late", "2.2", RESTORE, NUMBERS | {"restore_target_hours": 3}),
    Judged(concluding, "failed", "2.2", RESTORE | {"reason": "not-in-snapshot"}, NUMBERS),
]


@pytest.mark.parametrize("example", JUDGED, ids=str)
def test_the_verdict_follows_from_the_facts(example: Judged) -> None:
    example.insist(judgements)
