"""What must always hold, and what must hold once nothing is under way: each a query for whoever it is broken to.

A query yields (customer_id, detail) and looks at customers in `touched` only; `present.now` is the instant.
"""

from __future__ import annotations

_MONEY = """
WITH money AS (
  SELECT i.id, i.customer_id, i.contract_id, i.period_index, i.status, i.total_minor,
    coalesce(sum(b.amount_minor), 0) AS approved,
    coalesce((SELECT sum(e.amount_minor) FROM billing.credit_entries e JOIN billing.payments o ON o.id = e.payment_id
              WHERE o.invoice_id = i.id), 0) AS credited
  FROM billing.invoices i LEFT JOIN billing.payments b ON b.invoice_id = i.id AND b.status = 'approved'
  WHERE i.customer_id IN touched GROUP BY i.id)
"""
_CURRENT = """
FROM contracts.contracts c
JOIN contracts.periods p ON p.contract_id = c.id AND p.period_index = c.current_index
"""


def _told_once(kind: str, *columns: str) -> str:
    names = ", ".join(columns)
    return (
        f"SELECT customer_id, min(subject_id) FROM told WHERE kind = '{kind}' AND customer_id IN touched"
        f" GROUP BY customer_id, {names} HAVING count(*) > 1"
    )


def _decisions_cite(service: str) -> str:
    return f"""
SELECT d.customer_id, d.kind || ' cites ' || d.clause || ' of ' || d.agreement_version
FROM {service}.decisions d WHERE d.customer_id IN touched AND (d.clause NOT GLOB '[1-6].[1-6]' OR NOT EXISTS (
  SELECT 1 FROM contracts.acceptances a JOIN contracts.contracts c ON c.id = a.contract_id
  WHERE c.customer_id = d.customer_id AND a.agreement_version = d.agreement_version
    AND a.accepted_at <= d.decided_at))
"""


def _parked(service: str) -> str:
    return f"""
SELECT NULL, consumer || ' ' || coalesce(type, key) || ': ' || coalesce(error, '') FROM {service}.parked_events
UNION ALL SELECT NULL, kind || ': ' || last_error FROM {service}.timers WHERE parked_at IS NOT NULL
"""


SERVICES = ("contracts", "billing", "backup", "notify")

ALWAYS: dict[str, str] = {
    "a period has at most one invoice in force": """
SELECT customer_id, contract_id || '/' || period_index FROM billing.invoices
WHERE status <> 'void' AND customer_id IN touched GROUP BY contract_id, period_index HAVING count(*) > 1
""",
    "a paid period is covered by approved payments for it": """
SELECT c.customer_id, p.contract_id || '/' || p.period_index
FROM contracts.contracts c JOIN contracts.periods p ON p.contract_id = c.id
LEFT JOIN billing.payments b ON b.id = p.payment_id AND b.status = 'approved'
  AND b.contract_id = p.contract_id AND b.period_index = p.period_index
LEFT JOIN billing.invoices i ON i.id = b.invoice_id AND i.status = 'paid'
WHERE c.customer_id IN touched AND p.status = 'paid' AND (i.id IS NULL OR i.total_minor > (
  SELECT sum(o.amount_minor) FROM billing.payments o WHERE o.invoice_id = i.id AND o.status = 'approved'))
""",
    "a service that runs or ran is registered by a paid period": f"""
SELECT c.customer_id, c.id {_CURRENT}
WHERE c.customer_id IN touched AND c.status IN ('active', 'extended', 'held', 'expired') AND p.status <> 'paid'
""",
    "a service starts at the instant of the audit": """
SELECT b.customer_id, p.contract_id FROM contracts.periods p JOIN billing.payments b ON b.id = p.payment_id
WHERE b.customer_id IN touched AND p.period_index = 1 AND p.starts_at <> b.audited_at
""",
    "periods follow each other without gap or overlap": """
SELECT c.customer_id, p.contract_id || '/' || p.period_index
FROM contracts.contracts c JOIN contracts.periods p ON p.contract_id = c.id
LEFT JOIN contracts.periods b ON b.contract_id = p.contract_id AND b.period_index = p.period_index - 1
WHERE c.customer_id IN touched AND p.period_index > 1 AND (b.ends_at IS NULL OR b.ends_at <> p.starts_at)
""",
    "a contract keeps the zone it was drafted in": """
SELECT c.customer_id, p.contract_id || '/' || p.period_index || ' in ' || p.zone
FROM contracts.contracts c JOIN contracts.periods p ON p.contract_id = c.id
WHERE c.customer_id IN touched AND p.zone <> c.zone
""",
    "a window's opening is told once": _told_once("service-expiring", "contract_id", "period_index"),
    "nobody answers what they explained, and an extension was explained in time": """
SELECT customer_id, id FROM contracts.extensions WHERE customer_id IN touched
  AND (decided_by = requested_by OR requested_at >= period_ends_at OR extended_until <= period_ends_at)
""",
    "a period is extended once": _told_once("service-extended", "contract_id", "period_index"),
    "a service is registered once": _told_once("service-registered", "contract_id"),
    "a period is renewed once": _told_once("service-renewed", "contract_id", "period_index"),
    "an invoice is issued once": _told_once("invoice-issued", "subject_id"),
    "an invoice is settled once": _told_once("invoice-settled", "subject_id"),
    "a payment is audited once": _told_once("payment-audited", "subject_id"),
    "a notice is delivered once": _told_once("notice-delivered", "subject_id"),
    "a window's opening is not told before": """
SELECT t.customer_id, t.contract_id || '/' || t.period_index FROM told t
JOIN contracts.periods p ON p.contract_id = t.contract_id AND p.period_index = t.period_index
WHERE t.kind = 'service-expiring' AND t.customer_id IN touched AND t.at < p.window_opens_at
""",
    "a held service has a payment that was reported before the end": f"""
SELECT c.customer_id, c.id {_CURRENT} WHERE c.status = 'held' AND c.customer_id IN touched AND NOT EXISTS (
  SELECT 1 FROM billing.payments b
  WHERE b.contract_id = c.id AND b.period_index = c.current_index + 1
    AND b.reported_at < coalesce(p.extended_until, p.ends_at))
""",
    "a payment in audit that is known holds the service": f"""
SELECT c.customer_id, c.id {_CURRENT}
JOIN contracts.payments b ON b.contract_id = c.id AND b.period_index = c.current_index + 1
WHERE c.status = 'expired' AND c.customer_id IN touched AND b.verdict IS NULL
  AND b.reported_at < coalesce(p.extended_until, p.ends_at)
  AND EXISTS (SELECT 1 FROM contracts.periods n
    WHERE n.contract_id = c.id AND n.period_index = c.current_index + 1 AND n.status = 'awaiting_payment')
  AND NOT EXISTS (SELECT 1 FROM contracts.contract_servers s JOIN contracts.contract_servers o
    ON o.server_id = s.server_id AND o.contract_id <> s.contract_id WHERE s.contract_id = c.id)
""",
    "no service runs half a day beyond its end": f"""
SELECT c.customer_id, c.id {_CURRENT}, present
WHERE c.status = 'active' AND p.ends_at <= present.now - 43200000000
  OR c.status = 'extended' AND coalesce(p.extended_until, 0) <= present.now - 43200000000
""",
    "no backup is made of a service known to have ended": """
SELECT r.customer_id, r.id || ' of slot ' || r.slot_at
FROM backup.protections p JOIN backup.runs r ON r.protection_id = p.id AND r.slot_at >= p.ended_at
JOIN (SELECT subject_id, max(decided_at) AS heard_at FROM backup.decisions
      WHERE kind = 'protection.end' GROUP BY subject_id) d ON d.subject_id = p.id
WHERE p.status <> 'active' AND p.customer_id IN touched AND (r.slot_at > d.heard_at
  OR (p.ended_at = p.period_ends_at AND d.heard_at < p.ended_at + 1800000000))
""",
    "a slot has one run": """
SELECT customer_id, protection_id || ' ' || slot_at FROM backup.runs WHERE customer_id IN touched
GROUP BY protection_id, slot_at HAVING count(*) > 1
""",
    "an emergency is reported once": _told_once("emergency-reported", "subject_id"),
    "an emergency is acknowledged once": _told_once("emergency-acknowledged", "subject_id"),
    "an emergency is passed on once at a time": """
SELECT customer_id, subject_id FROM contracts.decisions
WHERE kind = 'emergency.escalate' AND customer_id IN touched
GROUP BY subject_id, json_extract(facts, '$.escalation') HAVING count(*) > 1
""",
    "nothing is remote but what was applied for and approved": """
SELECT p.customer_id, p.id FROM backup.protections p
WHERE p.place = 'remote' AND p.customer_id IN touched AND NOT EXISTS (
  SELECT 1 FROM backup.remote_applications a WHERE a.contract_id = p.contract_id AND a.server_id = p.server_id
    AND a.status IN ('approved', 'ended') AND a.decided_at <= p.started_at)
""",
    "a cause has one notice of a kind": """
SELECT customer_id, kind || ' ' || caused_by FROM notify.notices WHERE customer_id IN touched
GROUP BY kind, caused_by HAVING count(*) > 1
""",
    "invoice numbers have no gap": """
SELECT NULL, i.series || '-' || i.year || ': ' || count(*) || ' of ' || max(i.sequence)
FROM billing.invoices i JOIN billing.number_series n ON n.series = i.series AND n.year = i.year
GROUP BY i.series, i.year HAVING count(*) <> max(i.sequence) OR min(i.sequence) <> 1 OR max(i.sequence) <> max(n.last)
""",
    "an invoice's total is the sum of its lines": """
SELECT i.customer_id, i.id FROM billing.invoices i JOIN billing.invoice_lines l ON l.invoice_id = i.id
WHERE i.customer_id IN touched GROUP BY i.id HAVING sum(l.amount_minor) <> i.total_minor
""",
    "credit is never more than was approved": """
SELECT e.customer_id, e.payment_id FROM billing.credit_entries e JOIN billing.payments b ON b.id = e.payment_id
WHERE e.customer_id IN touched GROUP BY e.payment_id
HAVING sum(e.amount_minor) > max(b.amount_minor) OR max(b.status) <> 'approved'
""",
    "no technician is booked twice at once": """
SELECT w.customer_id, b.technician || ' ' || b.work_request_id || ' ' || o.work_request_id
FROM contracts.work_requests w JOIN contracts.bookings b ON b.work_request_id = w.id AND b.live
JOIN contracts.bookings o ON o.technician = b.technician AND o.live AND o.work_request_id <> b.work_request_id
  AND o.starts_at < b.ends_at AND o.ends_at > b.starts_at
WHERE w.customer_id IN touched
""",
    "work that a technician does is booked for that technician": """
SELECT w.customer_id, w.id FROM contracts.work_requests w
WHERE w.customer_id IN touched AND (w.status IN ('scheduled', 'in_progress')) <> EXISTS (
  SELECT 1 FROM contracts.bookings b WHERE b.work_request_id = w.id AND b.live AND b.technician = w.technician)
""",
    "nobody audits an own entry": """
SELECT customer_id, id FROM billing.payments WHERE customer_id IN touched AND audited_by = recorded_by
""",
    "a decision about a period cites the version accepted for it": """
SELECT d.customer_id, d.kind || ' ' || d.id FROM contracts.decisions d JOIN contracts.periods p
  ON p.contract_id = d.subject_id AND p.period_index = json_extract(d.facts, '$.period_index')
JOIN contracts.acceptances a ON a.id = p.acceptance_id
WHERE d.customer_id IN touched AND d.kind LIKE 'service.%'
  AND (d.agreement_version <> p.agreement_version OR a.agreement_version <> p.agreement_version)
""",
    **{f"every decision of {each} cites what the customer accepted": _decisions_cite(each) for each in SERVICES},
    **{f"nothing is parked in {each}": _parked(each) for each in SERVICES},
}

AT_REST: dict[str, str] = {
    "a contract whose first invoice is covered is registered": """
SELECT i.customer_id, i.contract_id FROM billing.invoices i JOIN contracts.contracts c ON c.id = i.contract_id
WHERE i.customer_id IN touched AND i.period_index = 1 AND i.status = 'paid' AND c.status = 'awaiting_payment'
""",
    "every accepted contract is billed": """
SELECT c.customer_id, c.id FROM contracts.contracts c WHERE c.customer_id IN touched
  AND c.status NOT IN ('draft', 'withdrawn') AND NOT EXISTS (
  SELECT 1 FROM billing.invoices i WHERE i.contract_id = c.id AND i.period_index = 1 AND i.status <> 'void')
""",
    "a renewal that was asked for in time is billed": """
SELECT c.customer_id, c.id FROM contracts.contracts c
JOIN contracts.periods p ON p.contract_id = c.id AND p.period_index = c.current_index + 1
WHERE c.customer_id IN touched AND c.status IN ('active', 'extended', 'held')
  AND p.status = 'awaiting_payment' AND NOT EXISTS (
  SELECT 1 FROM billing.invoices i
  WHERE i.contract_id = c.id AND i.period_index = p.period_index AND i.status <> 'void')
""",
    "approved money settles a served period or is credit": f"""{_MONEY}
SELECT m.customer_id, m.id || ' ' || m.status || ' total ' || m.total_minor || ' approved ' || m.approved
  || ' credited ' || m.credited
FROM money m WHERE m.approved - m.credited <> CASE
  WHEN m.status IN ('void', 'draft') THEN 0
  WHEN m.status = 'issued' THEN m.approved
  WHEN EXISTS (SELECT 1 FROM contracts.periods p WHERE p.contract_id = m.contract_id
    AND p.period_index = m.period_index AND p.status = 'paid') THEN m.total_minor
  ELSE 0 END
""",
    "an invoice that is covered is paid": f"""{_MONEY}
SELECT m.customer_id, m.id FROM money m WHERE m.status = 'issued' AND m.approved >= m.total_minor
""",
    "who paid in time is served, unless the renewal was refused and the money is credit": """
SELECT i.customer_id, i.id FROM billing.invoices i
JOIN contracts.contracts c ON c.id = i.contract_id
JOIN contracts.periods b ON b.contract_id = i.contract_id AND b.period_index = i.period_index - 1
LEFT JOIN contracts.periods p ON p.contract_id = i.contract_id AND p.period_index = i.period_index
WHERE i.customer_id IN touched AND i.status = 'paid' AND coalesce(p.status, '') <> 'paid'
  AND NOT EXISTS (SELECT 1 FROM billing.payments y
    WHERE y.invoice_id = i.id AND y.status = 'approved' AND y.reported_at >= coalesce(b.extended_until, b.ends_at))
  AND NOT EXISTS (SELECT 1 FROM told t WHERE t.kind = 'renewal-refused' AND t.contract_id = i.contract_id
    AND t.period_index = i.period_index)
""",
    "a window that opened was told": """
SELECT c.customer_id, p.contract_id || '/' || p.period_index
FROM contracts.contracts c JOIN contracts.periods p ON p.contract_id = c.id, present
WHERE c.customer_id IN touched AND p.period_index <= c.current_index AND p.window_opens_at <= present.now
  AND NOT EXISTS (SELECT 1 FROM told t WHERE t.kind = 'service-expiring' AND t.customer_id = c.customer_id
    AND t.contract_id = p.contract_id AND t.period_index = p.period_index)
""",
    "no service runs beyond a period that is paid": f"""
SELECT c.customer_id, c.id {_CURRENT}, present
WHERE c.status = 'active' AND p.ends_at <= present.now
  OR c.status = 'extended' AND (p.ends_at > present.now OR coalesce(p.extended_until, 0) <= present.now)
""",
    "a held service has a payment in audit that was reported before the end": f"""
SELECT c.customer_id, c.id {_CURRENT} WHERE c.status = 'held' AND c.customer_id IN touched AND NOT EXISTS (
  SELECT 1 FROM billing.payments b WHERE b.contract_id = c.id AND b.period_index = c.current_index + 1
    AND b.reported_at < coalesce(p.extended_until, p.ends_at) AND b.status = 'reported')
""",
    "a service that expired has nothing in audit that could hold it": f"""
SELECT c.customer_id, c.id {_CURRENT}
JOIN billing.payments b ON b.contract_id = c.id AND b.period_index = c.current_index + 1
WHERE c.status = 'expired' AND c.customer_id IN touched AND b.status = 'reported'
  AND b.reported_at < coalesce(p.extended_until, p.ends_at)
  AND EXISTS (SELECT 1 FROM contracts.periods n
    WHERE n.contract_id = c.id AND n.period_index = c.current_index + 1 AND n.status = 'awaiting_payment')
  AND NOT EXISTS (SELECT 1 FROM contracts.contract_servers s JOIN contracts.contract_servers o
    ON o.server_id = s.server_id AND o.contract_id <> s.contract_id WHERE s.contract_id = c.id)
""",
    "an ended contract asks for nothing more": """
SELECT i.customer_id, i.id || ' ' || i.status FROM billing.invoices i JOIN contracts.contracts c ON c.id = i.contract_id
WHERE i.customer_id IN touched AND i.status IN ('draft', 'issued')
  AND (c.status = 'withdrawn' OR c.status = 'expired' AND i.period_index > c.current_index)
  AND NOT EXISTS (SELECT 1 FROM billing.payments b WHERE b.invoice_id = i.id AND b.status = 'reported')
""",
    "exactly the servers of running services are protected": """
SELECT c.customer_id, s.server_id || ' ' || c.status || ' ' || count(p.id)
FROM contracts.contracts c JOIN contracts.contract_servers s ON s.contract_id = c.id
LEFT JOIN backup.protections p ON p.contract_id = c.id AND p.server_id = s.server_id AND p.status = 'active'
  AND p.place = 'local'
WHERE c.customer_id IN touched GROUP BY c.id, s.server_id
HAVING count(p.id) <> (c.status IN ('active', 'extended', 'held'))
""",
    "exactly the servers that were applied for are protected remotely too": """
SELECT c.customer_id, s.server_id || ' ' || c.status || ' ' || count(DISTINCT p.id) || ' of ' || count(DISTINCT a.id)
FROM contracts.contracts c JOIN contracts.contract_servers s ON s.contract_id = c.id
LEFT JOIN backup.remote_applications a ON a.contract_id = c.id AND a.server_id = s.server_id
  AND a.status = 'approved'
LEFT JOIN backup.protections p ON p.contract_id = c.id AND p.server_id = s.server_id AND p.status = 'active'
  AND p.place = 'remote'
WHERE c.customer_id IN touched GROUP BY c.id, s.server_id
HAVING count(DISTINCT p.id) <> (c.status IN ('active', 'extended', 'held') AND count(a.id) > 0)
""",
    "an emergency has called somebody": """
SELECT e.customer_id, e.id || ' ' || e.status FROM contracts.emergencies e
WHERE e.customer_id IN touched AND (NOT EXISTS (SELECT 1 FROM notify.pages p WHERE p.emergency_id = e.id)
  OR e.status = 'open' AND NOT EXISTS (
    SELECT 1 FROM notify.pages p WHERE p.emergency_id = e.id AND p.status IN ('pending', 'delivered')))
""",
    "nobody is called about an emergency that somebody has taken on": """
SELECT e.customer_id, e.id || ' ' || e.status FROM contracts.emergencies e
JOIN notify.calls c ON c.emergency_id = e.id
WHERE e.customer_id IN touched AND (e.status = 'open') <> (c.ended_at IS NULL)
""",
    "backups run on time": """
SELECT p.customer_id, p.id FROM backup.protections p, present
WHERE p.status = 'active' AND p.customer_id IN touched
  AND p.next_slot_at <= present.now AND p.period_ends_at + 1800000000 <= present.now
""",
    "notices are written in the zone where a customer lives or its contract runs": """
SELECT c.id, c.zone || ' ' || coalesce(n.zone, '') FROM contracts.customers c
LEFT JOIN notify.customers n ON n.customer_id = c.id WHERE c.id IN touched AND c.zone IS NOT n.zone
UNION ALL SELECT c.customer_id, c.id FROM contracts.contracts c JOIN notify.contract_zones z ON z.contract_id = c.id
WHERE c.customer_id IN touched AND z.zone <> c.zone
""",
    "every cause has its notice": """
SELECT t.customer_id, t.kind || ' ' || t.id FROM told t
LEFT JOIN notify.notices n ON n.caused_by = t.id AND n.customer_id = t.customer_id
WHERE t.customer_id IN touched AND n.id IS NULL AND t.kind IN ('invoice-issued', 'payment-audited',
  'service-registered', 'service-expiring', 'service-renewed', 'service-held', 'service-expired',
  'work-scheduled', 'work-rescheduled', 'work-refused', 'work-completed', 'work-failed', 'emergency-reported',
  'emergency-acknowledged', 'emergency-resolved', 'remote-backup-approved', 'remote-backup-declined')
""",
    "a notice waits for nothing but an address": """
SELECT n.customer_id, n.kind || ' ' || n.status || ' ' || n.id FROM notify.notices n
LEFT JOIN notify.contacts a ON a.customer_id = n.customer_id
WHERE n.customer_id IN touched
  AND (n.status = 'waiting_for_facts' OR n.status = 'waiting_for_contact' AND a.customer_id IS NOT NULL)
""",
    "a settled notice was told": """
SELECT n.customer_id, n.id FROM notify.notices n LEFT JOIN told t ON t.subject_id = n.id
  AND t.customer_id = n.customer_id AND t.kind = CASE n.status
    WHEN 'delivered' THEN 'notice-delivered' ELSE 'notice-undeliverable' END
WHERE n.customer_id IN touched AND n.status IN ('delivered', 'undeliverable') AND t.id IS NULL
""",
    **{
        f"all of {each} is announced and sealed": f"""
SELECT NULL, topic FROM {each}.outbox UNION ALL SELECT chain, 'unsealed' FROM {each}.audit_rows WHERE seq IS NULL
"""
        for each in SERVICES
    },
}
