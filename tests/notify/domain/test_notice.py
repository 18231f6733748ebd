"""The notice's lifecycle, its wording and what follows from a mail server's answer."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.notify.domain.attempt import (
    FIRST_DELAY,
    GIVE_UP_AFTER,
    LONGEST_DELAY,
    LONGEST_REPLY,
    Answer,
    Outcome,
    delay_after,
)
from services.notify.domain.notice import (
    CLAUSES,
    DELIVERED,
    NOTICE_LIFECYCLE,
    PENDING,
    UNDELIVERABLE,
    WAITING_FOR_CONTACT,
    WAITING_FOR_FACTS,
    Background,
    Notice,
    NoticeKind,
    NoticeStatus,
)
from shared.kernel.errors import IllegalMove
from shared.kernel.ids import new_id

NOON = datetime(2031, 5, 1, 12, tzinfo=UTC)
COMPLETE = Background(agreement_version="2031-01", zone="UTC", invoice_number="2031-000001")
ALLOWED = {
    ("word", WAITING_FOR_FACTS): WAITING_FOR_CONTACT,
    ("address", WAITING_FOR_CONTACT): PENDING,
    ("deliver", PENDING): DELIVERED,
    ("refuse", PENDING): UNDELIVERABLE,
    ("give_up", PENDING): UNDELIVERABLE,
    ("retry", UNDELIVERABLE): PENDING,
}


def a_notice(**changes: Any) -> Notice:
    ids = {name: new_id() for name in ("id", "caused_by", "customer_id", "contract_id", "subject_id")}
    values: dict[str, Any] = {**ids, "kind": NoticeKind.INVOICE_ISSUED, "period_index": 1, "facts": {}}
    return Notice(**{**values, "created_at": NOON, **changes})


@pytest.mark.parametrize("verb", NOTICE_LIFECYCLE.verbs)
@pytest.mark.parametrize("status", NoticeStatus)
def test_every_state_and_verb(verb: str, status: NoticeStatus) -> None:
    if (verb, status) in ALLOWED:
        assert NOTICE_LIFECYCLE.after(verb, status) is ALLOWED[verb, status]
    else:
        with pytest.raises(IllegalMove):
            NOTICE_LIFECYCLE.after(verb, status)


@pytest.mark.parametrize("missing", ["agreement_version", "zone", "invoice_number"])
def test_a_notice_is_not_worded_before_all_it_says_has_been_heard(missing: str) -> None:
    notice = a_notice(invoice_id=new_id())
    assert not notice.word(Background(**{**vars(COMPLETE), missing: None}))
    assert notice.status is WAITING_FOR_FACTS
    assert notice.word(COMPLETE)
    assert notice.status is WAITING_FOR_CONTACT


def test_a_notice_about_no_invoice_needs_no_number() -> None:
    assert a_notice().word(Background(agreement_version="2031-01", zone="UTC"))


def test_every_kind_cites_a_clause() -> None:
    assert set(CLAUSES) == set(NoticeKind)


@pytest.mark.parametrize(
    ("answer", "tries", "status", "failure"),
    [
        (Answer(250, "OK"), 1, DELIVERED, None),
        (Answer(451, "later"), 1, PENDING, None),
        (Answer(451, "later"), 1000, UNDELIVERABLE, "expired"),
        (Answer(None, "ConnectionRefusedError"), 1, PENDING, None),
        (Answer(550, "unknown"), 1, UNDELIVERABLE, "refused"),
        (Answer(535, "bad password", about_message=False), 1, PENDING, None),
    ],
)
def test_what_follows_from_an_answer(answer: Answer, tries: int, status: NoticeStatus, failure: str | None) -> None:
    notice = a_notice(status=PENDING, tries=tries)
    notice.settle(answer, now=NOON)
    assert (notice.status, notice.failure) == (status, failure)
    assert (notice.settled_at is None) == (status is PENDING)


def test_a_retry_begins_the_tries_anew() -> None:
    notice = a_notice(status=PENDING, tries=1000)
    notice.settle(Answer(451, "later"), now=NOON)
    notice.retry()
    assert (notice.status, notice.failure, notice.settled_at, notice.tries) == (PENDING, None, None, 0)


def test_a_reply_is_kept_as_one_bounded_printable_line() -> None:
    answer = Answer(451, "4.3.0 no\r\nroom\x07" + "x" * 1000)
    assert answer.kept_reply.startswith("4.3.0 no room?xxx")
    assert len(answer.kept_reply) == LONGEST_REPLY


def test_only_an_answer_about_the_message_refuses_it() -> None:
    assert Answer(550, "no").outcome is Outcome.REFUSED
    assert Answer(535, "no", about_message=False).outcome is Outcome.DEFERRED


def test_waits_grow_from_seconds_to_an_hour_and_add_up_to_three_days() -> None:
    waits: list[timedelta] = []
    while (delay := delay_after(len(waits) + 1)) is not None:
        waits.append(delay)
    assert waits[0] == FIRST_DELAY
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST_DELAY
    assert GIVE_UP_AFTER - LONGEST_DELAY <= sum(waits, timedelta()) < GIVE_UP_AFTER
