"""Whether a database is at the revision that this version of the program knows as its last."""

from __future__ import annotations

from alembic.script import ScriptDirectory

from deploy.doctor.finding import Finding, Patient, error, ok
from deploy.services import migrations_of


def compare(patient: Patient, part: str, service: str, current: str | None) -> Finding:
    """`current`: the revision in the database; None when nothing was ever migrated."""
    newest_first = [script.revision for script in ScriptDirectory(str(migrations_of(service))).walk_revisions()]
    if current is not None and current not in newest_first:
        found = f"is at revision {current} of a newer version, which this one does not know"
        return error(part, found, "run that version here, or restore the backup from before its migration")
    pending = newest_first if current is None else newest_first[: newest_first.index(current)]
    if pending:
        return patient.waits(part, f"lacks {len(pending)} migration(s)", f"mainstay migrate {service}")
    return ok(part, f"is at revision {current}")
