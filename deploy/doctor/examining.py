"""The whole examination: every check at once, each within its time, and none of them able to spoil the others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial

from deploy.doctor import (
    backlog,
    backups,
    certificates,
    data_folder,
    databases,
    event_log,
    identity,
    mail,
    memory,
    on_call,
    published,
    server_certificates,
    settings,
    traces,
    vault,
)
from deploy.doctor.finding import Finding, Patient, error, warning

CHECK_SECONDS = 5.0
ORDER = (
    "settings", "data folder", "keys", "certificates", "database", "event log", "identity", "mail", "on call",
    "backups", "vault", "traces",
)  # fmt: skip
"""What others stand on comes first; the rest follows by name."""

Check = Callable[[], Awaitable[list[Finding]]]


async def examine(names: Sequence[str]) -> list[Finding]:
    """What there is to say of these services and all that they share; nothing raises, and nothing takes long."""
    patient, findings = settings.read(names)
    if patient is None:
        return findings
    checks = dict(_checks(patient))
    for found in await asyncio.gather(*(_in_time(part, check) for part, check in checks.items())):
        findings += found
    return sorted(findings, key=_place)


def _checks(patient: Patient) -> Iterator[tuple[str, Check]]:
    yield data_folder.PART, partial(asyncio.to_thread, data_folder.look, patient)
    yield data_folder.KEYS, partial(asyncio.to_thread, data_folder.look_at_keys, patient)
    yield certificates.PART, partial(asyncio.to_thread, certificates.look, patient)
    yield "certificates of servers", partial(server_certificates.look, patient)
    yield event_log.PART, partial(event_log.look, patient)
    yield identity.PART, partial(identity.look, patient)
    yield mail.PART, partial(mail.look, patient)
    yield on_call.PART, partial(on_call.look, patient)
    yield backups.PART, partial(backups.look, patient)
    yield vault.PART, partial(vault.look, patient)
    yield traces.PART, partial(traces.look, patient)
    for name in patient.services:
        yield f"database of {name}", partial(databases.look, patient, name)
        yield f"work of {name}", partial(backlog.look, patient, name)
        yield f"reading of {name}", partial(backlog.look_at_reading, patient, name)
        yield f"published by {name}", partial(published.look, patient, name)
        yield f"memory of {name}", partial(memory.look, patient, name)


async def _in_time(part: str, check: Check) -> list[Finding]:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await check()
    except TimeoutError:
        found = f"could not be looked at within {CHECK_SECONDS:.0f} s"
        return [warning(part, found, "try again when there is less to do")]
    except Exception as trouble:
        # Whatever else is broken, the other findings are worth hearing; the text of an error may hold a secret.
        return [
            error(part, f"could not be looked at ({type(trouble).__name__})", "report this: the doctor has a defect")
        ]


def _place(finding: Finding) -> tuple[int, str]:
    first = next((place for place, part in enumerate(ORDER) if finding.part.startswith(part)), len(ORDER))
    return first, finding.part
