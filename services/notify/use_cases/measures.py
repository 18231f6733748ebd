"""What an operator watches of notify: notices that nobody can prove yet, and calls that reach nobody."""

from __future__ import annotations

from datetime import timedelta

from prometheus_client import Gauge

from services.notify.db import notices, pages, staff
from services.notify.domain.notice import PENDING, UNDELIVERABLE, WAITING
from shared.kit.db import Reader
from shared.kit.measuring import Reading

STILL_MATTERS_FOR = timedelta(days=30)
"""After that the term of which an undeliverable notice spoke is usually over, and trying again helps nobody."""

WITHOUT_PROOF = Gauge(
    "mainstay_legal_notices_without_proof",
    "Notices without the mail server's word; undeliverable ones for a month",
    ["service", "status"],
)
OLDEST = Gauge(
    "mainstay_legal_notices_oldest_without_proof_seconds",
    "How long ago the oldest notice without proof was asked for",
    ["service", "status"],
)

ON_CALL = Gauge("mainstay_on_call_people", "How many people are on call first at this moment", ["service"])
UNHEARD = Gauge(
    "mainstay_emergency_calls_unheard_seconds",
    "How long ago the oldest emergency under way was called of which no page has arrived or is on its way",
    ["service"],
)


async def measure(reader: Reader) -> list[Reading]:
    readings = []
    for status in (*WAITING, PENDING, UNDELIVERABLE):
        since = reader.now - STILL_MATTERS_FOR if status is UNDELIVERABLE else None
        found = await notices.without_proof(reader, status, since=since)
        age = (reader.now - found.oldest_created_at).total_seconds() if found.oldest_created_at else 0.0
        readings += [Reading(WITHOUT_PROOF, found.number, (status.value,)), Reading(OLDEST, age, (status.value,))]
    unheard = await pages.first_unheard(reader)
    readings += [
        Reading(ON_CALL, len(await staff.on_call(reader, position=1))),
        Reading(UNHEARD, (reader.now - unheard).total_seconds() if unheard else 0.0),
    ]
    return readings
