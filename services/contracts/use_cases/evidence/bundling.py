"""All that is on record of a contract, or of one incident of it, as a bundle that proves itself."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from operator import itemgetter
from typing import Any, BinaryIO
from uuid import UUID

from services.contracts.db import agreements, contracts, evidence, evidence_facts, incidents
from services.contracts.db.evidence_facts import EvidenceFact
from services.contracts.domain.contract import Contract
from services.contracts.domain.evidence_bundle import BundleTooLarge, canonical, is_plain_name
from services.contracts.domain.incident import Incident
from services.contracts.use_cases.evidence import moments
from services.contracts.use_cases.evidence.hearing import BACKUPS, NOTICES, PAYMENTS, REMOTE_APPLICATIONS
from services.contracts.use_cases.evidence.moments import Moment
from services.contracts.use_cases.evidence.summary import Summary, summary_of
from services.contracts.use_cases.evidence.writing import BundleWriter
from shared.kit.audit_trail import GENESIS, sealed_rows
from shared.kit.db import Reader
from shared.kit.signing_keys import SigningKeys

PAGE = 1_000
MOST_FACTS = 50_000
"""Told by other services: a hundred and thirty years of a server's daily backups."""
FACT_FILES = {
    "backups.json": BACKUPS,
    "remote-applications.json": REMOTE_APPLICATIONS,
    "payments.json": PAYMENTS,
    "notices.json": NOTICES,
}


@dataclass
class _Scope:
    """`server_id`: only what concerns that server, or none in particular; `backups_since`: no backups before it.

    `subjects` and `moments` grow with what is found; a moment is kept as it will be written.
    """

    contract: Contract
    incidents: list[Incident]
    server_id: UUID | None
    subjects: set[UUID]
    backups_since: datetime | None = None
    facts: int = 0
    moments: list[tuple[datetime, bytes]] = field(default_factory=list)

    def note(self, told: Iterable[Moment]) -> None:
        self.moments.extend((datetime.fromisoformat(moment["at"]), canonical(moment)) for moment in told)

    def note_fact(self, fact: EvidenceFact, shown_in: str) -> None:
        """Raises BundleTooLarge."""
        self.facts += 1
        if self.facts > MOST_FACTS:
            raise BundleTooLarge(most_facts=MOST_FACTS)
        self.moments.append((fact.at, canonical(moments.of_fact(fact, shown_in))))


async def bundle_of_contract(
    reader: Reader, contract_id: UUID, keys: Callable[[], SigningKeys], *, only_customer: UUID | None
) -> BinaryIO:
    """The zip, which the caller closes; raises NoSuchContract, BundleTooLarge, SigningKeyAway."""
    contract = await contracts.get(reader, contract_id, only_customer=only_customer)
    found = await _all_incidents(reader, contract.id)
    scope = _Scope(contract, found, None, {contract.id, *(incident.id for incident in found)})
    subject = {"kind": "contract", "id": str(contract.id)}
    return await _bundle(reader, scope, subject, keys)


async def bundle_of_incident(
    reader: Reader, incident_id: UUID, keys: Callable[[], SigningKeys], *, only_customer: UUID | None
) -> BinaryIO:
    """The zip, which the caller closes; raises NoSuchIncident, BundleTooLarge, SigningKeyAway."""
    incident = await incidents.get(reader, incident_id, only_customer=only_customer)
    contract = await contracts.get(reader, incident.contract_id, only_customer=only_customer)
    kept = timedelta(days=agreements.parameters_of(incident.agreement_version)["retention_days"])
    scope = _Scope(
        contract,
        [incident],
        incident.server_id,
        {contract.id, incident.id},
        # Those before were deleted when it happened.
        backups_since=incident.happened_at - kept,
    )
    subject = {"kind": "incident", "id": str(incident.id), "server_id": str(incident.server_id)}
    return await _bundle(reader, scope, subject, keys)


async def _bundle(reader: Reader, scope: _Scope, subject: dict[str, Any], keys: Callable[[], SigningKeys]) -> BinaryIO:
    bundle = BundleWriter()
    try:
        summary = Summary(subject=subject, contract=scope.contract, incidents=scope.incidents)
        await _add_agreement(reader, scope, bundle, summary)
        await _add_contract(reader, scope, bundle, summary)
        await _add_records(reader, scope, bundle)
        _add_incidents(scope, bundle)
        await _add_facts(reader, scope, bundle, summary)
        await _add_decisions(reader, scope, bundle, summary)
        _add_timeline(scope, bundle)
        await _add_audit_rows(reader, scope, bundle)
        bundle.add("summary.pdf", await asyncio.to_thread(summary_of, summary, tuple(bundle.entries)))
        about = {
            **subject,
            "customer_id": str(scope.contract.customer_id),
            "contract_id": str(scope.contract.id),
            "agreement_version": scope.contract.agreement_version,
        }
        return await asyncio.to_thread(bundle.finish, about, keys)
    except BaseException:
        bundle.abandon()
        raise


async def _add_agreement(reader: Reader, scope: _Scope, bundle: BundleWriter, summary: Summary) -> None:
    """The exact texts that were accepted, and who accepted which when."""
    accepted = await evidence.acceptances_of(reader, scope.contract.id)
    summary.acceptances = accepted
    texts = sorted({(row["agreement_version"], row["language"]) for row in accepted})
    for version, language in texts:
        text = await evidence.accepted_text(reader, version, language)
        bundle.add(_text_name(version, language), text.encode())
    with bundle.listed("acceptances.json") as write:
        for row in accepted:
            write({**row, "text": _text_name(row["agreement_version"], row["language"])})
            scope.note(moments.of_acceptance(row))


def _text_name(version: str, language: str) -> str:
    """A version is named by people; one that would not do as a file's name is named by its digest."""
    name = f"agreement/{version}.{language}.md"
    return name if is_plain_name(name) else f"agreement/{_digest(version)}.{language}.md"


async def _add_contract(reader: Reader, scope: _Scope, bundle: BundleWriter, summary: Summary) -> None:
    contract, bought = scope.contract, await evidence.periods_of(reader, scope.contract.id)
    summary.periods = bought
    for row in bought:
        scope.note(moments.of_period(row, str(contract.id)))
    shown = {
        "id": str(contract.id),
        "customer_id": str(contract.customer_id),
        "status": contract.status.value,
        "zone": contract.zone,
        "agreement_version": contract.agreement_version,
        "server_ids": [str(server_id) for server_id in contract.server_ids],
        "drafted_at": contract.drafted_at.isoformat(),
        "accepted_at": _text(contract.accepted_at),
        "withdrawn_at": _text(contract.withdrawn_at),
        "ended_at": _text(contract.ended_at),
        "end_reason": contract.end_reason and contract.end_reason.value,
        "periods": bought,
    }
    bundle.add("contract.json", canonical(shown))


async def _add_records(reader: Reader, scope: _Scope, bundle: BundleWriter) -> None:
    for name in evidence.RECORDS:
        page = partial(evidence.records_of, reader, name, scope.contract.id, server_id=scope.server_id, limit=PAGE)
        with bundle.listed(name) as write:
            async for row in _each(page):
                write(row)
                scope.subjects.add(UUID(row["id"]))
                scope.note(moments.of_record(name, row))


def _add_incidents(scope: _Scope, bundle: BundleWriter) -> None:
    with bundle.listed("incidents.json") as write:
        for incident in scope.incidents:
            write(_shown_incident(incident))
            scope.note(moments.of_incident(incident))


def _shown_incident(incident: Incident) -> dict[str, Any]:
    """What people wrote stays with us; its digest shows later whether a text is the one that was reported."""
    found = incident.determination
    return {
        "id": str(incident.id),
        "server_id": str(incident.server_id),
        "period_index": incident.period_index,
        "agreement_version": incident.agreement_version,
        "status": incident.status.value,
        "happened_at": incident.happened_at.isoformat(),
        "seen_sha256": _digest(incident.seen),
        "channel": incident.channel,
        "reported_at": incident.reported_at.isoformat(),
        "reported_by": incident.reported_by,
        "cause": found.cause and found.cause.value,
        "data_lost": found.data_lost,
        "work_request_id": found.work_request_id and str(found.work_request_id),
        "findings": [finding.shown() for finding in found.findings],
        "determined_at": _text(incident.determined_at),
        "determined_by": incident.determined_by,
        "recovered": incident.recovered,
        "recovery_attempts": [
            {
                "id": str(attempt.id),
                "method": attempt.method,
                "outcome": attempt.outcome.value,
                "attempted_at": attempt.attempted_at.isoformat(),
                "recorded_at": attempt.recorded_at.isoformat(),
                "recorded_by": attempt.recorded_by,
            }
            for attempt in incident.attempts
        ],
        "liability": incident.liability and incident.liability.value,
        "clause": incident.clause,
        "decided_at": _text(incident.decided_at),
        "decided_by": incident.decided_by,
        "appealed_at": _text(incident.appealed_at),
        "appealed_by": incident.appealed_by,
        "appeal_reason_sha256": incident.appeal_reason and _digest(incident.appeal_reason),
        "concluded_at": _text(incident.concluded_at),
        "concluded_by": incident.concluded_by,
    }


async def _add_facts(reader: Reader, scope: _Scope, bundle: BundleWriter, summary: Summary) -> None:
    for name, kinds in FACT_FILES.items():
        since = scope.backups_since if kinds is BACKUPS else None
        with bundle.listed(name) as write:
            async for fact in _facts(reader, scope, [kind.kind for kind in kinds], since=since):
                write(moments.shown_fact(fact))
                scope.note_fact(fact, name)
                summary.count(fact.kind)


async def _add_decisions(reader: Reader, scope: _Scope, bundle: BundleWriter, summary: Summary) -> None:
    with bundle.listed("decisions.json") as write:
        async for row in _each(partial(evidence.decisions_of, reader, scope.subjects, limit=PAGE)):
            write(row)
            summary.decide(row)
            scope.note(moments.of_decision(row))


def _add_timeline(scope: _Scope, bundle: BundleWriter) -> None:
    """Our own moments among what others told, by time; at one instant as the files beside list them."""
    with bundle.listed("timeline.json") as write:
        for _at, moment in sorted(scope.moments, key=itemgetter(0)):
            write(moment)


async def _add_audit_rows(reader: Reader, scope: _Scope, bundle: BundleWriter) -> None:
    """Rows of the customer's chain about any of these things, each with the hash before it, so that its own is proven.

    What was not sealed yet has no place in the chain.
    """
    chain, after, before = scope.contract.customer_id, 0, GENESIS
    wanted = {str(subject) for subject in scope.subjects}
    with bundle.listed("audit.json") as write:
        while rows := await sealed_rows(reader, chain, after=after, limit=PAGE):
            for row in rows:
                if row.event.get("subject_id") in wanted:
                    shown = {"chain": str(chain), "seq": row.seq, "at": row.at.isoformat(), "event": row.event}
                    write({**shown, "before": before, "hash": row.hash})
                before = row.hash
            after = rows[-1].seq
            await _others_turn()


async def _facts(
    reader: Reader, scope: _Scope, kinds: list[str], *, since: datetime | None
) -> AsyncIterator[EvidenceFact]:
    after = None if since is None else (since, UUID(int=0))
    while found := await evidence_facts.page(
        reader, scope.contract.id, kinds=kinds, server_id=scope.server_id, after=after, limit=PAGE
    ):
        for fact in found:
            yield fact
        after = found[-1].at, found[-1].id
        await _others_turn()


async def _each(page: Callable[..., Awaitable[list[dict[str, Any]]]]) -> AsyncIterator[dict[str, Any]]:
    """Rows of page after page; `page` takes the id to go on `after`."""
    after: UUID | None = None
    while rows := await page(after=after):
        for row in rows:
            yield row
        after = UUID(rows[-1]["id"])
        await _others_turn()


async def _others_turn() -> None:
    """On SQLite no statement gives the event loop a turn by itself."""
    await asyncio.sleep(0)


async def _all_incidents(reader: Reader, contract_id: UUID) -> list[Incident]:
    found: list[Incident] = []
    while True:
        after = found[-1].id if found else None
        rows = await incidents.page(
            reader, only_customer=None, contract_id=contract_id, status=None, after=after, limit=PAGE
        )
        found += rows
        if len(rows) <= PAGE:
            return found


def _text(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()


def _digest(words: str) -> str:
    return hashlib.sha256(words.encode()).hexdigest()
