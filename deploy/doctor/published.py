"""Whether agreements and catalogue are still what customers accepted and bought."""

from __future__ import annotations

from deploy import services
from deploy.doctor.databases import url_of
from deploy.doctor.finding import Finding, Patient, error
from deploy.doctor.reading import NO_ANSWER, reading

REMEDY = "put back what was published, and publish the change as a new version"


async def look(patient: Patient, service: str) -> list[Finding]:
    """Nothing where all is as it was, or where the database does not answer, which is said about that."""
    part = f"published by {service}"
    try:
        async with reading(url_of(patient, service)) as reader:
            changed = [] if reader is None else await services.changed_since_accepted(service, reader)
    except NO_ANSWER:
        return []
    except ValueError as unusable:
        return [error(part, str(unusable), "correct that file: nothing starts with it")]
    return [error(part, line, REMEDY) for line in changed]
