"""What the bus measures; alert on ages, not on counts."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

OLDEST_PENDING = Gauge(
    "mainstay_outbox_oldest_pending_seconds", "Age of the oldest unpublished event", ["service", "shard"]
)
PUBLISH_SECONDS = Histogram(
    "mainstay_outbox_publish_seconds",
    "From the command's transaction to the log's acknowledgement",
    ["service"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 300),
)
PUBLISHED = Counter("mainstay_outbox_published_total", "Events acknowledged by the log", ["service"])
PUBLISH_FAILED = Counter("mainstay_outbox_failed_total", "Appends that failed", ["service"])
LEASE_CHANGES = Counter("mainstay_bus_lease_changes_total", "Leases taken, given up or lost", ["group", "change"])

LAG_RECORDS = Gauge("mainstay_consumer_lag_records", "Records not yet applied", ["consumer", "topic", "partition"])
LAG_SECONDS = Gauge(
    "mainstay_consumer_lag_seconds", "Age of the oldest record not yet applied", ["consumer", "topic", "partition"]
)
APPLIED = Counter("mainstay_consumer_applied_total", "Events applied", ["consumer"])
DUPLICATES = Counter("mainstay_consumer_duplicates_total", "Events dropped because they were applied", ["consumer"])
UNKNOWN = Counter("mainstay_consumer_unknown_total", "Events of a type nobody here knows", ["consumer"])
GAPS = Counter("mainstay_consumer_gaps_total", "Events whose predecessor never came", ["consumer"])
FENCED = Counter("mainstay_consumer_fenced_total", "Batches that another replica had applied", ["consumer"])
PARKED = Counter("mainstay_consumer_parked_total", "Events parked at the head of their key", ["consumer", "error"])
PARKED_KEYS = Gauge("mainstay_consumer_parked_keys", "Keys that are blocked", ["consumer"])
PARKED_AGE = Gauge("mainstay_consumer_oldest_parked_seconds", "Age of the oldest blocking event", ["consumer"])
RETENTION_PASSED = Gauge(
    "mainstay_consumer_retention_passed",
    "1: the log dropped records before this consumer read them; a person must decide",
    ["consumer", "topic", "partition"],
)
LOG_REWOUND = Counter(
    "mainstay_consumer_log_rewound_total", "The log ended before the stored offset, so it was read again", ["consumer"]
)
