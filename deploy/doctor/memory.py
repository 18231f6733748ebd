"""Whether a service's database knows what the service told: one put back to a backup does not, until it is said so."""

from __future__ import annotations

from deploy.doctor import event_log
from deploy.doctor.databases import url_of
from deploy.doctor.finding import Finding, Patient, error
from deploy.doctor.reading import NO_ANSWER, reading
from shared.events.registry import FACTS
from shared.kit.bus import outbox
from shared.kit.bus.positions import Position, Stream, position_in
from shared.kit.bus.restoring import told_of

NEWEST_RECORDS = 100
"""Of each partition: what a restored database has forgotten is what was told last."""


async def look(patient: Patient, service: str) -> list[Finding]:
    """Nothing where it knows, or where the log or the database does not answer, which is said about them."""
    topics = {fact.topic() for fact in FACTS if fact.producer == service}
    try:
        # First the log: what it holds was committed before, so a healthy database knows it by now.
        records = await event_log.newest(patient, topics, of_each=NEWEST_RECORDS)
        told = [(Stream(record.topic, record.key), at) for record in records if (at := position_in(record)) is not None]
        if not told:
            return []
        async with reading(url_of(patient, service)) as reader:
            if reader is None:
                return []
            known, epoch = await told_of(reader, {stream for stream, _ in told}), await outbox.current_epoch(reader)
    except NO_ANSWER:
        return []
    # What was forgotten before the present epoch is known to be.
    forgotten = [at for stream, at in told if at > known.get(stream, Position(0, 0)) and at.epoch >= epoch]
    if not forgotten:
        return []
    found = f"its database does not know {len(forgotten)} of the facts that it told last: it was put back to a backup"
    remedy = f"stop the processes of {service}, then: mainstay restored {service}"
    return [error(f"memory of {service}", found, remedy)]
