"""Whether this release can use a database as its migrations have left it."""

from __future__ import annotations

from typing import NamedTuple

from deploy.doctor.finding import Finding, Patient, error, ok, warning
from deploy.services import migrations_of
from shared.kit.migrations import NoSuchRevision, after, lacking
from shared.kit.revision_files import Revision, revisions_in
from shared.kit.version import VERSION, release


class Stand(NamedTuple):
    """What a database says: its revision, None when it is new; and the oldest release it is for, None when any."""

    revision: str | None
    oldest_release: str | None


def compare(patient: Patient, part: str, service: str, stand: Stand) -> Finding:
    known = revisions_in(migrations_of(service))
    if stand.oldest_release is not None and release(VERSION) < release(stand.oldest_release):
        found = f"is for Mainstay {stand.oldest_release} and later, and this is {VERSION}"
        return error(part, found, "run that release here, or restore the backup from before its migration")
    if stand.revision is None:
        return patient.waits(part, f"lacks all {len(known)} migration(s)", f"mainstay migrate {service}")
    try:
        pending = after(stand.revision, known)
    except NoSuchRevision:
        found = f"is at revision {stand.revision}, which is none of this service's"
        return error(part, found, f"name the database of {service}, or restore it from your backup")
    if stand.revision > known[-1].number:
        return ok(part, f"is at revision {stand.revision} of a later release, which this one can use")
    return _pending(patient, part, service, pending, stand.revision)


def _pending(patient: Patient, part: str, service: str, pending: list[Revision], revision: str) -> Finding:
    command = f"mainstay migrate {service}"
    if missing := lacking(pending):
        contract = " --contract" if any(step.phase == "contract" for step in missing) else ""
        return patient.waits(part, f"lacks {len(missing)} migration(s)", f"{command}{contract}")
    if pending:
        found = f"{len(pending)} migration(s) that take something away wait"
        return warning(part, found, f"{command} --contract, once no process of an older release runs")
    return ok(part, f"is at revision {revision}")
