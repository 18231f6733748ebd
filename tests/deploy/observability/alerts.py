"""For every alert what makes it fire and what does not, as series of samples a minute apart for two hours."""

from __future__ import annotations

from dataclasses import dataclass

Series = dict[str, str]

MINUTES = 120
DAY = 86_400


@dataclass(frozen=True)
class Case:
    """`fires` and `quiet`: values by series; `steady` and `rising` make values."""

    fires: Series
    quiet: Series


def steady(value: float) -> str:
    return f"{value:g}+0x{MINUTES}"


def rising(by: float) -> str:
    return f"0+{by:g}x{MINUTES}"


def once() -> str:
    """Zero for an hour and three quarters, then one."""
    return f"0+0x{MINUTES - 10} 1+0x9"


def gauge(series: str, *, over: float, under: float) -> Case:
    return Case({series: steady(over)}, {series: steady(under)})


def times(name: str, labels: str, *, slow: bool) -> Series:
    """A histogram of a request a second that all take long, or do not."""
    return {
        f'{name}_bucket{{{labels},le="0.5"}}': rising(0 if slow else 60),
        f'{name}_bucket{{{labels},le="5"}}': rising(0 if slow else 60),
        f'{name}_bucket{{{labels},le="10"}}': rising(60),
        f'{name}_bucket{{{labels},le="+Inf"}}': rising(60),
        f"{name}_count{{{labels}}}": rising(60),
    }


def answers(status_class: str, by: float) -> Series:
    labels = f'service="billing",method="GET",route="/v1/invoices",status_class="{status_class}"'
    return {f"mainstay_http_request_seconds_count{{{labels}}}": rising(by)}


def measured(**at: str) -> Series:
    return {f'mainstay_measured_timestamp_seconds{{service="{service}"}}': values for service, values in at.items()}


def unproven(status: str) -> str:
    return f'mainstay_legal_notices_oldest_without_proof_seconds{{service="notify",status="{status}"}}'


AUDIT_QUEUE = 'mainstay_audit_queue_age_seconds{service="billing"}'
BREACH = 'mainstay_recovery_point_breach_seconds{service="backup"}'
ROTATION = 'mainstay_rotation_overdue_seconds{service="contracts"}'
PARKED = 'mainstay_consumer_oldest_parked_seconds{consumer="contracts"}'
LEASES = 'mainstay_bus_lease_changes_total{group="billing-relay",change="taken"}'
PASSED = 'mainstay_consumer_retention_passed{consumer="notify",topic="billing.invoice",partition="3"}'
LAG = 'mainstay_consumer_lag_seconds{consumer="backup",topic="contracts.contract",partition="0"}'
REQUEST = 'service="billing",method="GET",route="/v1/invoices",status_class="2xx"'
FEED = 'service="notify",method="GET",route="/v1/events",status_class="2xx"'
AWAITED = 'mainstay_database_connections_awaited{service="billing",instance="a"}'
FRESH = rising(60)

ALERTS: dict[str, Case] = {
    "AuditQueueOld": gauge(AUDIT_QUEUE, over=DAY + 60, under=DAY - 60),
    "AuditQueueHoldsCustomers": gauge(AUDIT_QUEUE, over=3 * DAY + 60, under=3 * DAY - 60),
    "RecoveryPointBreached": gauge(BREACH, over=7_260, under=7_140),
    "DisclosedSecretNotReplaced": gauge(ROTATION, over=60, under=0),
    "EmergencyNotAcknowledged": gauge(
        'mainstay_emergency_unacknowledged_seconds{service="contracts"}', over=1, under=0
    ),
    "EmergencyCallUnheard": gauge('mainstay_emergency_calls_unheard_seconds{service="notify"}', over=60, under=0),
    "NobodyOnCall": gauge('mainstay_on_call_people{service="notify"}', over=0, under=1),
    "LegalNoticeLate": Case(
        {unproven("pending"): steady(3_700)},
        {unproven("pending"): steady(3_500), unproven("waiting_for_contact"): steady(30 * DAY)},
    ),
    "LegalNoticeEndangersWindow": gauge(unproven("waiting_for_facts"), over=DAY + 60, under=DAY - 60),
    "LegalNoticeWithoutContact": gauge(unproven("waiting_for_contact"), over=DAY + 60, under=DAY - 60),
    "LegalNoticeUndeliverable": gauge(unproven("undeliverable"), over=60, under=0),
    "TimersLate": gauge('mainstay_timers_oldest_due_seconds{service="contracts"}', over=330, under=270),
    "TimerParked": gauge('mainstay_timers_oldest_parked_seconds{service="notify"}', over=330, under=0),
    "AuditTrailUnsealed": gauge('mainstay_audit_oldest_unsealed_seconds{service="billing"}', over=61, under=2),
    "OutboxStuck": gauge('mainstay_outbox_oldest_pending_seconds{service="billing",shard="3"}', over=61, under=59),
    "PublishSlow": Case(
        times("mainstay_outbox_publish_seconds", 'service="billing"', slow=True),
        times("mainstay_outbox_publish_seconds", 'service="billing"', slow=False),
    ),
    "ConsumerLagging": gauge(LAG, over=121, under=119),
    "EventParked": gauge(PARKED, over=330, under=270),
    "EventBlocksCustomer": gauge(PARKED, over=7_260, under=7_140),
    "EventGap": Case(
        {'mainstay_consumer_gaps_total{consumer="notify"}': once()},
        {'mainstay_consumer_gaps_total{consumer="notify"}': steady(3)},
    ),
    "RetentionPassed": gauge(PASSED, over=1, under=0),
    "LogRewound": Case(
        {'mainstay_consumer_log_rewound_total{consumer="notify"}': once()},
        {'mainstay_consumer_log_rewound_total{consumer="notify"}': steady(1)},
    ),
    "LeaseChurn": Case({LEASES: rising(20)}, {LEASES: f"0+0x60 16+0x{MINUTES - 61}"}),
    "ProcessDown": gauge('up{job="mainstay-worker",instance="billing-worker:9464"}', over=0, under=1),
    "WorkerLoopStandsStill": gauge(
        'mainstay_worker_loop_idle_seconds{service="billing",loop="relay"}', over=181, under=60
    ),
    "ServiceNotMeasured": Case(
        measured(contracts=FRESH, billing=FRESH, backup=FRESH),
        measured(contracts=FRESH, billing=FRESH, backup=FRESH, notify=FRESH),
    ),
    "ApiFails": Case(answers("2xx", 100) | answers("5xx", 10), answers("2xx", 100) | answers("5xx", 1)),
    "ApiSlow": Case(
        times("mainstay_http_request_seconds", REQUEST, slow=True),
        times("mainstay_http_request_seconds", REQUEST, slow=False)
        | times("mainstay_http_request_seconds", FEED, slow=True),
    ),
    "DatabaseConnectionsExhausted": Case({AWAITED: steady(2)}, {AWAITED: "0 3 " * (MINUTES // 2)}),
    "VersionsMixed": Case(
        {f'mainstay_build_info{{version="{version}",instance="{version}"}}': steady(1) for version in ("1.0", "1.1")},
        {f'mainstay_build_info{{version="1.1",instance="{number}"}}': steady(1) for number in range(2)},
    ),
}
"""In the order of the rules."""
