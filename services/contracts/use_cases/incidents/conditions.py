"""A technician tells the customer in writing that a server does not meet the conditions for maintenance (2.4)."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from services.contracts.db import condition_declarations, contracts
from services.contracts.domain.condition_declaration import Condition, ConditionDeclaration
from services.contracts.domain.work_request import ServerOutsideContract
from services.contracts.use_cases.happenings import settle
from shared.events.contracts import ConditionsDeclaredUnmet
from shared.kernel.ids import new_id
from shared.kit import audit_trail
from shared.kit.db import Transaction


async def declare_unmet(
    tx: Transaction, contract_id: UUID, *, server_id: UUID, unmet: Sequence[Condition]
) -> ConditionDeclaration:
    """Raises NoSuchContract, NotRegistered, ServerOutsideContract."""
    contract = await contracts.get_for_update(tx, contract_id, only_customer=None)
    await settle(tx, contract, contract.catch_up(tx.now))
    period = contract.present()
    if server_id not in contract.server_ids:
        raise ServerOutsideContract(field="server_id", agreement_version=period.agreement_version)
    declaration = ConditionDeclaration(
        id=new_id(),
        contract_id=contract.id,
        customer_id=contract.customer_id,
        server_id=server_id,
        agreement_version=period.agreement_version,
        unmet=tuple(unmet),
        declared_at=tx.now,
        declared_by=tx.actor,
    )
    await condition_declarations.insert(tx, declaration)
    fact = ConditionsDeclaredUnmet(
        customer_id=contract.customer_id,
        declaration_id=declaration.id,
        contract_id=contract.id,
        agreement_version=declaration.agreement_version,
        period_index=period.index,
        server_id=server_id,
        unmet=[condition.value for condition in declaration.unmet],
        declared_at=declaration.declared_at,
    )
    tx.publish(fact)
    audit_trail.record(
        tx,
        contract.customer_id,
        "declare-conditions-unmet",
        declaration.id,
        contract_id=str(contract.id),
        unmet=[condition.value for condition in declaration.unmet],
    )
    return declaration


async def lift(tx: Transaction, declaration_id: UUID) -> ConditionDeclaration:
    """The conditions are met again; raises NoSuchDeclaration, IllegalMove."""
    declaration = await condition_declarations.get_for_update(tx, declaration_id)
    declaration.lift(by=tx.actor, now=tx.now)
    await condition_declarations.save(tx, declaration)
    audit_trail.record(tx, declaration.customer_id, "lift-conditions-unmet", declaration.id)
    return declaration
