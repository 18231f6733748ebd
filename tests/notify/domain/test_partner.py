"""Links and cursors."""

from datetime import UTC, datetime

import pytest

from services.notify.domain.feed import CursorTooOld, Stream, UnknownCursor
from services.notify.domain.partner import ENDED, LINK_LIFECYCLE, LINKED, LinkStatus, in_writing
from shared.kernel.channels import OralRequest
from shared.kernel.errors import IllegalMove
from shared.kernel.ids import new_id

NOON = datetime(2031, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("verb", LINK_LIFECYCLE.verbs)
@pytest.mark.parametrize("status", LinkStatus)
def test_every_state_and_verb(verb: str, status: LinkStatus) -> None:
    if (verb, status) == ("end", LINKED):
        assert LINK_LIFECYCLE.after(verb, status) is ENDED
    else:
        with pytest.raises(IllegalMove):
            LINK_LIFECYCLE.after(verb, status)


def test_an_oral_request_is_refused_by_clause_3_1() -> None:
    with pytest.raises(OralRequest) as refused:
        in_writing("phone")
    assert (refused.value.cited_clause, refused.value.field) == ("3.1", "channel")


def test_a_cursor_says_where_to_read_on() -> None:
    stream = Stream(new_id(), last_seq=7, purged_seq=2)
    assert [stream.after(stream.cursor_at(seq)) for seq in (2, 5, 7)] == [2, 5, 7]
    assert stream.after(None) == 2


def test_a_cursor_before_the_oldest_event_is_too_old_and_names_the_oldest() -> None:
    stream = Stream(new_id(), last_seq=7, purged_seq=2)
    with pytest.raises(CursorTooOld) as refused:
        stream.after(stream.cursor_at(1))
    assert stream.after(refused.value.facts["oldest_cursor"]) == 2


@pytest.mark.parametrize("cursor", ["", "x", "0", "AAAA", "ü", "=" * 32, "A" * 32, "A" * 64])
def test_what_is_no_cursor_is_unknown(cursor: str) -> None:
    with pytest.raises(UnknownCursor):
        Stream(new_id(), last_seq=7).after(cursor)


def test_a_cursor_of_another_partner_or_of_the_future_is_unknown() -> None:
    stream = Stream(new_id(), last_seq=7)
    for cursor in (Stream(new_id()).cursor_at(3), stream.cursor_at(8)):
        with pytest.raises(UnknownCursor):
            stream.after(cursor)
