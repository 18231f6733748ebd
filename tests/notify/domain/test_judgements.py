"""Facts of a notice and its answer, and the verdict that follows from them."""

from __future__ import annotations

import pytest

from services.notify.domain.judgements import judgements
from services.notify.domain.notice import settling
from tests.support.judging import Judged

ANSWER = {"notice_kind": "service-expiring", "has_tries_left": True, "smtp_code": 250, "about_message": True}
NOT_REACHED = ANSWER | {"smtp_code": None}

JUDGED = [
    Judged(settling, "delivered", "3.3", ANSWER),
    Judged(settling, "delivered", "3.2", ANSWER | {"notice_kind": "payment-rejected"}),
    Judged(settling, "undeliverable", "3.3", ANSWER | {"smtp_code": 550}),
    Judged(settling, "pending", "3.3", ANSWER | {"smtp_code": 535, "about_message": False}),
    Judged(settling, "pending", "3.3", NOT_REACHED),
    Judged(settling, "undeliverable", "3.3", NOT_REACHED | {"has_tries_left": False}),
]


@pytest.mark.parametrize("example", JUDGED, ids=str)
def test_the_verdict_follows_from_the_facts(example: Judged) -> None:
    example.insist(judgements)
