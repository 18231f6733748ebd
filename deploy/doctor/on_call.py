"""Whether an emergency would reach anybody (1.3): who is on call at this moment, and which administrators there are."""

from __future__ import annotations

from deploy.doctor.databases import url_of
from deploy.doctor.finding import Finding, Patient, error, ok, warning
from deploy.doctor.reading import NO_ANSWER, reading
from services.notify.db import staff

PART = "on call"
SHIFT = "POST /notify/v1/on-call-shifts"


async def look(patient: Patient) -> list[Finding]:
    """Production only; nothing where the database cannot be read or has no tables yet, which is said about it."""
    if not patient.in_production or "notify" not in patient.services:
        return []
    try:
        async with reading(url_of(patient, "notify")) as reader:
            if reader is None:
                return []
            on_call, administrators = await staff.on_call(reader, position=1), await staff.administrators(reader)
    except NO_ANSWER:
        return []
    if on_call:
        return [ok(PART, f"{len(on_call)} would be paged first")]
    if administrators:
        found = f"nobody; an emergency would page the {len(administrators)} administrator(s)"
        return [warning(PART, found, f"plan shifts: {SHIFT}")]
    remedy = f"name those who are paged (PUT /notify/v1/staff-contacts/SUBJECT), then plan shifts: {SHIFT}"
    return [error(PART, "an emergency would reach nobody at all", remedy)]
