"""What an operator is told by the service itself: missing backups, as metrics and as log lines (clause 2.2)."""

from __future__ import annotations

import structlog
from prometheus_client import Counter, Gauge

from services.backup.db import protections
from services.backup.domain.protection import Protection, Slot
from shared.kit.db import Reader
from shared.kit.measuring import Reading

log = structlog.get_logger("backup")
ALERTS = Counter("mainstay_backup_alerts_total", "Alerts about missing backups", ["kind"])
BREACHED = Gauge(
    "mainstay_recovery_points_breached",
    "Protections whose last good backup is older than the agreement promises",
    ["service"],
)
BREACHED_FOR = Gauge(
    "mainstay_recovery_point_breach_seconds", "For how long the longest overdue backup has been due", ["service"]
)


async def measure(reader: Reader) -> list[Reading]:
    breaches = await protections.breaches(reader)
    since = (reader.now - breaches.since).total_seconds() if breaches.since else 0.0
    return [Reading(BREACHED, breaches.number), Reading(BREACHED_FOR, since)]


def alert_missed_slots(protection: Protection, slot: Slot) -> None:
    ALERTS.labels("slots-missed").inc(slot.passed_by)
    log.error(
        "backup slots missed",
        protection_id=str(protection.id),
        server_id=str(protection.server_id),
        missed=slot.passed_by,
        slot_at=slot.at.isoformat(),
    )


def alert_overdue(protection: Protection) -> None:
    ALERTS.labels("overdue").inc()
    since = protection.uncovered_since or protection.next_slot_at
    log.error(
        "backup overdue",
        protection_id=str(protection.id),
        server_id=str(protection.server_id),
        uncovered_since=since.isoformat() if since else None,
    )
