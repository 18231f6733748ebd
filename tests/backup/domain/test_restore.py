"""Who gets what back, and by when."""

from __future__ import annotations

from datetime import timedelta

import pytest

from services.backup.domain.protection import DataNoLongerKept
from services.backup.domain.restore import (
    ContentDiscarded,
    NothingToRestore,
    NotRestored,
    Restore,
    RestoreFailure,
    request_restore,
)
from services.backup.domain.run import Reason, Run
from services.backup.domain.source_path import UnusablePath
from shared.kernel.channels import OralRequest
from shared.kernel.ids import new_id
from tests.backup.domain.test_protection import DAY, NOON, a_protection


def a_run() -> Run:
    return Run(id=new_id(), protection_id=new_id(), server_id=new_id(), customer_id=new_id(), slot_at=NOON)


def a_finished_run() -> Run:
    run = a_run()
    run.succeed(snapshot_id="abc", files=1, bytes=2, now=NOON)
    return run


def a_restore(path: str = "a/b") -> Restore:
    return request_restore(new_id(), a_protection(), a_finished_run(), path=path, channel="api", now=NOON)


@pytest.mark.parametrize(("hours", "within"), [(0, True), (4, True), (5, False)])
def test_a_restore_is_measured_against_the_target(hours: int, within: bool) -> None:
    restore = a_restore()
    restore.complete(sha256="0" * 64, bytes=1, now=NOON + timedelta(hours=hours))
    assert restore.within_target is within


def test_an_oral_request_is_refused() -> None:
    with pytest.raises(OralRequest) as refused:
        request_restore(new_id(), a_protection(), a_finished_run(), path="a", channel="phone", now=NOON)
    assert (refused.value.cited_clause, refused.value.field) == ("3.1", "channel")


def test_a_path_out_of_the_folder_is_refused() -> None:
    with pytest.raises(UnusablePath):
        a_restore(path="../b")


def test_a_run_without_a_backup_restores_nothing() -> None:
    with pytest.raises(NothingToRestore):
        request_restore(new_id(), a_protection(), a_run(), path="a", channel="api", now=NOON)


def test_after_the_retention_period_nothing_is_restored() -> None:
    protection = a_protection()
    protection.end(ended_at=NOON, retention_days=1)
    request_restore(new_id(), protection, a_finished_run(), path="a", channel="api", now=NOON + DAY)
    protection.purge()
    with pytest.raises(DataNoLongerKept):
        request_restore(new_id(), protection, a_finished_run(), path="a", channel="api", now=NOON + DAY)


def test_content_exists_between_completion_and_discarding() -> None:
    restore = a_restore()
    with pytest.raises(NotRestored):
        restore.require_content()
    restore.complete(sha256="0" * 64, bytes=1, now=NOON)
    restore.require_content()
    restore.discard()
    with pytest.raises(ContentDiscarded):
        restore.require_content()


def test_a_failed_restore_has_no_content() -> None:
    restore = a_restore()
    restore.fail(RestoreFailure.NOT_IN_SNAPSHOT, NOON)
    with pytest.raises(NotRestored) as refused:
        restore.require_content()
    assert refused.value.facts["reason"] == "not-in-snapshot"


def test_a_failure_is_news_once_per_reason() -> None:
    run = a_run()
    assert run.fail(Reason.NOTHING_TO_BACK_UP, NOON)
    assert not run.fail(Reason.NOTHING_TO_BACK_UP, NOON)
    assert run.fail(Reason.RESTIC_FAILED, NOON)
    assert run.attempts == 3
