"""What an operator is told by the service itself: missing backups, as metrics and as log lines."""

from __future__ import annotations

import structlog
from prometheus_client import Counter, Gauge

from services.backup.db import protections
from services.backup.domain.protection import Protection, Slot
from shared.kit.db import Reader

log = structlog.get_logger("backup")
ALERTS = Counter("mainstay_backup_alerts_total", "Alerts about missing backups", ["kind"])
OVERDUE = Gauge("mainstay_backup_overdue", "Active protections whose backup is past its alert time")
AGE = Gauge("mainstay_backup_recovery_point_age_seconds", "Age of the oldest newest backup of an active protection")
ACTIVE = Gauge("mainstay_backup_protections_active", "Active protections")


async def measure(reader: Reader) -> None:
    """Set the gauges of this process."""
    found = await protections.measure(reader)
    ACTIVE.set(found.active)
    OVERDUE.set(found.overdue)
    age = (reader.now - found.oldest_recovery_point).total_seconds() if found.oldest_recovery_point else 0
    AGE.set(max(age, 0))


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
