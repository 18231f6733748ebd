"""What an operator watches of billing: how long those who paid wait for finance (clause 3.2)."""

from __future__ import annotations

from prometheus_client import Gauge

from services.billing.db import payments
from shared.kit.db import Reader
from shared.kit.measuring import Reading

AGE = Gauge(
    "mainstay_audit_queue_age_seconds", "How long the oldest reported payment has awaited its audit", ["service"]
)
LENGTH = Gauge("mainstay_audit_queue_payments", "Reported payments that await their audit", ["service"])


async def measure(reader: Reader) -> list[Reading]:
    queue = await payments.audit_queue(reader)
    age = (reader.now - queue.oldest_reported_at).total_seconds() if queue.oldest_reported_at else 0.0
    return [Reading(AGE, age), Reading(LENGTH, queue.length)]
