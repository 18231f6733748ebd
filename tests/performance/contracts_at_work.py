"""Contracts databases with a million active services, filled by SQL in seconds; the first ones are due."""

from __future__ import annotations

import asyncpg

from services.contracts.db import agreements
from services.contracts.domain.agreement import Language
from tests.performance.stage import execute

FIRST_NOT_DUE = 100_001
"""Contracts are numbered; those below may be made due."""


def _id(letter: str, number: str) -> str:
    return f"('{letter}0000000-0000-4000-8000-' || lpad(to_hex({number}), 12, '0'))::uuid"


CUSTOMER = "'d0000000-0000-4000-8000-000000000001'::uuid"
# What a process finds accepted has to be what it was started with.
SHA256 = f"'{agreements.published().version('2026-1').sha256(Language.EN)}'"
ACCEPTANCE = "'e0000000-0000-4000-8000-000000000001'::uuid"
# Foreign keys are not checked while filling: a superuser's privilege, and half of the time.
UNCHECKED = "SET LOCAL session_replication_role = replica;"
ONCE = f"""{UNCHECKED}
INSERT INTO customers VALUES ({CUSTOMER}, 'Harbour Books', 'en', 'UTC', now()) ON CONFLICT DO NOTHING;
INSERT INTO accepted_texts VALUES ('2026-1', 'en', {SHA256}, 'text', now()) ON CONFLICT DO NOTHING;
INSERT INTO acceptances VALUES ({ACCEPTANCE}, {_id("a", "1")}, 1, '2026-1', 'en', {SHA256},
  'bench', '', 'portal', now()) ON CONFLICT DO NOTHING;
"""
FILL = f"""{UNCHECKED}
INSERT INTO contracts (id, customer_id, status, zone, plan_code, plan_version, term_months, fee_minor, currency,
    paper_bill, agreement_version, acceptance_id, current_index, drafted_at, accepted_at, version)
  SELECT {_id("a", "n")}, {CUSTOMER}, 'active', 'UTC', 'care-monthly-eur', 1, 1, 10000, 'EUR', false, '2026-1',
    {ACCEPTANCE}, 1, now(), now(), 1 FROM generate_series({{first}}, {{last}}) n;
INSERT INTO periods (contract_id, period_index, status, starts_at, ends_at, window_opens_at, months, zone, anchor_day,
    anchor_time, start_month, agreement_version, acceptance_id, plan_code, plan_version, fee_minor, currency,
    payment_id, expiring_told_at)
  SELECT {_id("a", "n")}, 1, 'paid', now() - interval '31 days', {{ends}}, {{ends}} - interval '3 days', 1, 'UTC', 1,
    '12:00', 1, '2026-1', {ACCEPTANCE}, 'care-monthly-eur', 1, 10000, 'EUR', {_id("a", "n")}, {{told}}
  FROM generate_series({{first}}, {{last}}) n;
INSERT INTO timers (id, kind, subject_id, due_at, payload, correlation_id, attempts)
  SELECT {_id("b", "n")}, 'contract.period-ends', {_id("a", "n")}, {{ends}}, '{{{{}}}}', 'bench', 0
  FROM generate_series({{first}}, {{last}}) n;
"""
FILL_WINDOWS = f"""
INSERT INTO timers (id, kind, subject_id, due_at, payload, correlation_id, attempts)
  SELECT {_id("c", "n")}, 'contract.window-opens', {_id("a", "n")}, now() + interval '10 days', '{{{{}}}}', 'bench', 0
  FROM generate_series({{first}}, {{last}}) n;
"""
FILL_SERVERS = f"""{UNCHECKED}
INSERT INTO servers SELECT {_id("f", "n")}, {CUSTOMER}, 'shop-1', 'Debian 12', now()
  FROM generate_series({{first}}, {{last}}) n ON CONFLICT DO NOTHING;
INSERT INTO contract_servers SELECT {_id("a", "n")}, {_id("f", "n")}, 0, true
  FROM generate_series({{first}}, {{last}}) n;
"""
UNDO = f"""{UNCHECKED}
TRUNCATE outbox, streams, decisions, audit_rows;
DELETE FROM timers WHERE subject_id < {_id("a", str(FIRST_NOT_DUE))};
DELETE FROM contract_servers WHERE contract_id < {_id("a", str(FIRST_NOT_DUE))};
DELETE FROM periods WHERE contract_id < {_id("a", str(FIRST_NOT_DUE))};
DELETE FROM contracts WHERE id < {_id("a", str(FIRST_NOT_DUE))};
"""


async def fill(url: str, *, first: int, last: int) -> None:
    """Contracts `first` to `last`, numbered from nought, that end within the next months."""
    numbers = {"first": first + FIRST_NOT_DUE, "last": last + FIRST_NOT_DUE - 1}
    ends = "now() + interval '20 days' + n * interval '4 seconds'"
    await execute(url, ONCE, FILL.format(ends=ends, told="NULL", **numbers), FILL_WINDOWS.format(**numbers))
    # The checkpoint that so many rows call for would run beside whatever is measured next.
    await execute(url, "VACUUM ANALYZE", "CHECKPOINT")


async def make_due(url: str, count: int) -> None:
    """`count` contracts whose end has passed and that nobody renewed, each with a server, and no trace of earlier.

    Ten thousand of them end within one minute.
    """
    numbers = {"first": 1, "last": count}
    ends = "now() - interval '1 hour' + n * interval '6 milliseconds'"
    await execute(url, UNDO, FILL.format(ends=ends, told=f"{ends} - interval '3 days'", **numbers))
    await execute(url, FILL_SERVERS.format(**numbers), "ANALYZE timers, contracts, periods, contract_servers")


async def corrupt(url: str, number: int) -> str:
    """The due contract of that number loses the row of its present period; returns its id."""
    connection = await asyncpg.connect(url)
    try:
        found: str = await connection.fetchval(
            f"DELETE FROM periods WHERE contract_id = {_id('a', str(number))} RETURNING contract_id::text"
        )
        return found
    finally:
        await connection.close()
