"""The customer declares the software of a server; work that touches what is undeclared waits for it (4.1)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any
from uuid import UUID

from services.contracts.db import agreements, contracts, servers, software, work_requests
from services.contracts.domain import software as rules
from services.contracts.domain.agreement import Agreement
from services.contracts.domain.server import Server
from services.contracts.domain.software import Component, SoftwareDeclaration, Source
from services.contracts.gateways import bills, licences
from services.contracts.use_cases.work_decisions import missing_from, tell_whether_held
from shared.events.contracts import SoftwareDeclared
from shared.kernel.ids import new_id
from shared.kit import audit_trail, decisions
from shared.kit.db import Transaction


@dataclass(frozen=True, kw_only=True)
class Declared:
    """What somebody sent: the software, how it was written down, and the SHA-256 of that."""

    source: Source
    spec_version: str | None
    sha256: str
    components: Sequence[Component]


def by_hand(entered: Sequence[Component]) -> Declared:
    """What a person entered, its licences checked; raises UnknownLicence."""
    components = [
        replace(component, licence=licences.checked(component.licence, field=f"software.{position}.licence"))
        for position, component in enumerate(entered)
    ]
    written = json.dumps([asdict(component) for component in entered], sort_keys=True, separators=(",", ":"))
    sha256 = hashlib.sha256(written.encode()).hexdigest()
    return Declared(source=Source.BY_HAND, spec_version=None, sha256=sha256, components=components)


def imported(content: bytes) -> Declared:
    """What a bill of materials lists; raises UnreadableBill, TooMuchSoftware, UnknownLicence."""
    bill = bills.read(content)
    sha256 = hashlib.sha256(content).hexdigest()
    return Declared(source=bill.source, spec_version=bill.spec_version, sha256=sha256, components=bill.components)


async def declare_software(
    tx: Transaction, server_id: UUID, declared: Declared, *, only_customer: UUID | None, channel: str
) -> SoftwareDeclaration:
    """Keep it as the newest declaration of the server, which counts alone. Raises NoSuchServer, OralRequest."""
    server, agreement = await _server_for_update(tx, server_id, only_customer)
    agreement.check_channel(channel)
    last = await software.newest_of(tx, server.id)
    declaration = SoftwareDeclaration(
        id=new_id(),
        server_id=server.id,
        customer_id=server.customer_id,
        declaration_index=last.declaration_index + 1 if last else 1,
        agreement_version=agreement.version,
        source=declared.source,
        spec_version=declared.spec_version,
        sha256=declared.sha256,
        component_count=len(declared.components),
        channel=channel,
        declared_by=tx.actor,
        declared_at=tx.now,
    )
    await software.insert(tx, declaration, declared.components)
    await _tell(tx, declaration, agreement)
    for work in await work_requests.open_on(tx, server.id):
        if work.software:
            was, still = await missing_from(tx, work, last), await missing_from(tx, work, declaration)
            if bool(was) != bool(still):
                await tell_whether_held(tx, work, len(still))
    return declaration


async def _server_for_update(tx: Transaction, server_id: UUID, only_customer: UUID | None) -> tuple[Server, Agreement]:
    """The server, behind its contract as everybody locks them, and the agreement that rules both."""
    server = await servers.get(tx, server_id, only_customer=only_customer)
    published = agreements.published()
    contract_id = await contracts.of_server(tx, server.id)
    if contract_id is None:
        agreement = published.current(tx.now)
    else:
        contract = await contracts.get_for_update(tx, contract_id, only_customer=None)
        agreement = published.version(contract.agreement_version)
    return await servers.get_for_update(tx, server.id, only_customer=only_customer), agreement


async def _tell(tx: Transaction, declaration: SoftwareDeclaration, agreement: Agreement) -> None:
    facts: dict[str, Any] = {
        "server_id": str(declaration.server_id),
        "source": declaration.source.value,
        "sha256": declaration.sha256,
        "component_count": declaration.component_count,
        "channel": declaration.channel,
    }
    await decisions.judge(
        tx,
        rules.declaring,
        subject_id=declaration.id,
        customer_id=declaration.customer_id,
        agreement_version=agreement.version,
        parameters=agreement.parameters.shown(),
        facts=facts,
        happened="customer-responsible",
    )
    fact = SoftwareDeclared(
        customer_id=declaration.customer_id,
        server_id=declaration.server_id,
        declaration_id=declaration.id,
        agreement_version=agreement.version,
        source=declaration.source.value,
        sha256=declaration.sha256,
        component_count=declaration.component_count,
        declared_at=declaration.declared_at,
    )
    tx.publish(fact)
    audit_trail.record(tx, declaration.customer_id, "declare-software", declaration.id, **facts)
