"""Whether this version of the program can use a database as its migrations have left it."""

from __future__ import annotations

from deploy.doctor.finding import Finding, Patient, error, ok
from deploy.services import migrations_of
from shared.kit.migrations import NoSuchRevision, after, lacking
from shared.kit.revision_files import revisions_in
from shared.kit.version import VERSION, release

OTHER_VERSION = "run that version here, or restore the backup from before its migration"


def compare(patient: Patient, part: str, service: str, current: str | None, oldest_version: str | None) -> Finding:
    """`current`: the revision in the database, None for a new one; `oldest_version`: what may use it, None for any."""
    if oldest_version is not None and release(VERSION) < release(oldest_version):
        return error(part, f"is for Mainstay {oldest_version} and later, and this is {VERSION}", OTHER_VERSION)
    known = revisions_in(migrations_of(service))
    try:
        missing = lacking(after(current, known))
    except NoSuchRevision:
        return error(part, f"is at revision {current}, which this version does not know", OTHER_VERSION)
    if missing:
        option = " --contract" if any(step.phase == "contract" for step in missing) else ""
        return patient.waits(part, f"lacks {len(missing)} migration(s)", f"mainstay migrate {service}{option}")
    return ok(part, f"is at revision {current}")
