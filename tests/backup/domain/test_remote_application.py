"""The life of an application for remote backup, state by verb."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from services.backup.domain import protection as rules
from services.backup.domain.judgements import judgements
from services.backup.domain.remote_application import (
    APPLICATION_LIFECYCLE,
    APPLIED,
    APPROVED,
    DECLINED,
    ENDED,
    WITHDRAWN,
    ApplicationStatus,
    RemoteApplication,
    deciding,
)
from shared.kernel.errors import IllegalMove
from shared.kernel.ids import new_id
from tests.support.judging import Judged

AT = datetime(2030, 1, 1, tzinfo=UTC)
MOVES: dict[tuple[str, ApplicationStatus], ApplicationStatus] = {
    ("approve", APPLIED): APPROVED,
    ("decline", APPLIED): DECLINED,
    ("withdraw", APPLIED): WITHDRAWN,
    ("end", APPROVED): ENDED,
}
ASKED: dict[str, Any] = {"channel": "portal", "served": True, "every_hours": 24, "reason": None}
STARTED: dict[str, Any] = {"place": "remote", "served": True, "every_hours": 24, "application_approved": True}
DAILY = {"remote_backup_every_hours": 24}

JUDGED = [
    Judged(deciding, "approved", "2.3", ASKED, DAILY),
    Judged(deciding, "declined", "2.3", ASKED | {"reason": "too-large"}, DAILY),
    Judged(deciding, "declined", "2.3", ASKED | {"served": False}, DAILY),
    Judged(deciding, "declined", "2.3", ASKED | {"every_hours": None}, DAILY),
    Judged(rules.starting, "started", "2.3", STARTED, DAILY),
    Judged(rules.starting, "not-started", "2.3", STARTED | {"application_approved": False}, DAILY),
    Judged(rules.starting, "not-started", "2.3", STARTED | {"every_hours": 25}, DAILY),
]


@pytest.mark.parametrize("status", ApplicationStatus)
@pytest.mark.parametrize("verb", APPLICATION_LIFECYCLE.verbs)
def test_an_application_moves_as_its_table_says_and_not_otherwise(verb: str, status: ApplicationStatus) -> None:
    if (verb, status) in MOVES:
        assert APPLICATION_LIFECYCLE.after(verb, status) is MOVES[verb, status]
    else:
        with pytest.raises(IllegalMove):
            APPLICATION_LIFECYCLE.after(verb, status)


@pytest.mark.parametrize("example", JUDGED, ids=str)
def test_nothing_leaves_without_an_approved_application(example: Judged) -> None:
    example.insist(judgements)


@pytest.mark.parametrize(("status", "then"), [(APPLIED, WITHDRAWN), (APPROVED, ENDED)])
def test_to_give_it_up_takes_it_back_or_ends_it(status: ApplicationStatus, then: ApplicationStatus) -> None:
    application = RemoteApplication(
        id=new_id(),
        contract_id=new_id(),
        server_id=new_id(),
        customer_id=new_id(),
        agreement_version="2026-1",
        channel="portal",
        applied_by="ada",
        applied_at=AT,
        status=status,
    )
    application.give_up(AT)
    assert (application.status, application.ended_at) == (then, AT)
