"""Whether a server meets the conditions for maintenance is looked at and recorded (2.4)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.contracts.db import agreements, condition_declarations, contracts, readiness, servers
from services.contracts.domain.agreement import Agreement
from services.contracts.domain.condition_declaration import Condition
from services.contracts.domain.readiness import (
    RECORDED,
    CheckedLater,
    Item,
    NotRecorded,
    ReadinessCheck,
    checklist,
    readiness_facts,
)
from services.contracts.domain.server import Server
from services.contracts.domain.work_request import WorkRequest
from shared.kernel.ids import new_id
from shared.kit import audit_trail
from shared.kit.db import Reader, Transaction


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A result, and whom or what it comes from; None: it is of now, and of who records it."""

    condition: Condition
    passed: bool
    checked_by: str | None = None
    checked_at: datetime | None = None


async def record_check(tx: Transaction, server_id: UUID, checked: Checked) -> ReadinessCheck:
    """Raises NoSuchServer, NotRecorded, CheckedLater."""
    server = await servers.get(tx, server_id, only_customer=None)
    if checked.condition not in RECORDED:
        agreement = await agreement_of(tx, server)
        raise NotRecorded(field="condition", agreement_version=agreement.version)
    check = ReadinessCheck(
        id=new_id(),
        server_id=server.id,
        customer_id=server.customer_id,
        condition=checked.condition,
        passed=checked.passed,
        checked_by=checked.checked_by or tx.actor,
        checked_at=checked.checked_at or tx.now,
        recorded_by=tx.actor,
        recorded_at=tx.now,
    )
    if check.checked_at > tx.now:
        raise CheckedLater(field="checked_at")
    await readiness.insert(tx, check)
    details = {"condition": check.condition.value, "passed": check.passed}
    audit_trail.record(tx, server.customer_id, "check-readiness", server.id, **details)
    return check


async def checklist_of(reader: Reader, server: Server) -> tuple[Agreement, list[Item]]:
    """The server's checklist as it is now, by the agreement that rules it."""
    agreement = await agreement_of(reader, server)
    known = await readiness.on_record(reader, server)
    return agreement, checklist(known, valid_hours=agreement.parameters.readiness_valid_hours, now=reader.now)


async def readiness_now(tx: Transaction, work: WorkRequest) -> dict[str, object]:
    """What a rule needs: the checklist of the work's server by the work's agreement, and what the customer was told."""
    server = await servers.get(tx, work.server_id, only_customer=None)
    valid_hours = agreements.published().version(work.agreement_version).parameters.readiness_valid_hours
    items = checklist(await readiness.on_record(tx, server), valid_hours=valid_hours, now=tx.now)
    told = await condition_declarations.standing_at(tx, work.contract_id, server.id, tx.now)
    return readiness_facts(items, told.unmet if told else ())


async def agreement_of(reader: Reader, server: Server) -> Agreement:
    """That of the contract that has the server, or the current one."""
    contract_id = await contracts.of_server(reader, server.id)
    if contract_id is None:
        return agreements.published().current(reader.now)
    contract = await contracts.get(reader, contract_id, only_customer=None)
    return agreements.published().version(contract.agreement_version)
