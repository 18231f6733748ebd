"""Contracts with their present and next period and the payments for these; earlier periods only for display."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from services.contracts.db.payments import payment_of
from services.contracts.db.tables import contract_servers, contracts, payments, periods
from services.contracts.domain.contract import Contract, ContractStatus, NoSuchContract
from services.contracts.domain.happening import EndReason
from services.contracts.domain.period import BoughtPlan, Choice, PeriodStatus, ServicePeriod
from services.contracts.domain.server import ServerInAnotherContract
from shared.kernel.errors import StaleWrite
from shared.kernel.money import Money
from shared.kernel.period import Period, Window
from shared.kit.bus import sets
from shared.kit.db import Reader, Transaction

SHOWN_PERIODS = 24


class PeriodMissing(Exception):
    """A registered contract has no row of its present period: nothing is decided about it."""


async def insert(tx: Transaction, contract: Contract) -> None:
    """Store a draft and take its servers; raises ServerInAnotherContract."""
    await tx.insert(contracts, {"id": contract.id, **_contract_values(contract)})
    for position, server_id in enumerate(contract.server_ids):
        values = {"contract_id": contract.id, "server_id": server_id, "position": position, "live": True}
        if not await tx.insert_once(contract_servers, values):
            raise ServerInAnotherContract(field=f"server_ids.{position}", server_id=str(server_id))


async def get(reader: Reader, contract_id: UUID, *, only_customer: UUID | None) -> Contract:
    """The contract as it is stored; raises NoSuchContract, also for somebody else's."""
    found = await _load(reader, _one(contract_id, only_customer))
    if not found:
        raise NoSuchContract()
    return found[0]


async def get_for_update(tx: Transaction, contract_id: UUID, *, only_customer: UUID | None) -> Contract:
    """As `get`, and nobody else changes it until the end of `tx`; raises PeriodMissing."""
    found = await _load(tx, _one(contract_id, only_customer).with_for_update())
    if not found:
        raise NoSuchContract()
    _insist_on_periods(found)
    return found[0]


async def get_all_for_update(tx: Transaction, contract_ids: Collection[UUID]) -> dict[UUID, Contract]:
    """All of these contracts, locked in the order of their ids; raises NoSuchContract, PeriodMissing."""
    query = sa.select(contracts).where(sets.among(tx, contracts.c.id, contract_ids))
    found = await _load(tx, query.order_by(contracts.c.id).with_for_update())
    if len(found) != len(set(contract_ids)):
        raise NoSuchContract()
    _insist_on_periods(found)
    return {contract.id: contract for contract in found}


async def page(
    reader: Reader,
    *,
    only_customer: UUID | None,
    customer_id: UUID | None,
    status: ContractStatus | None,
    after: UUID | None,
    limit: int,
) -> list[Contract]:
    """Up to `limit` + 1 contracts in id order."""
    query = sa.select(contracts).order_by(contracts.c.id).limit(limit + 1)
    for wanted in (only_customer, customer_id):
        if wanted is not None:
            query = query.where(contracts.c.customer_id == wanted)
    if status is not None:
        query = query.where(contracts.c.status == status)
    if after is not None:
        query = query.where(contracts.c.id > after)
    return await _load(reader, query)


async def of_server(reader: Reader, server_id: UUID) -> UUID | None:
    """The contract that has the server now."""
    columns = contract_servers.c
    found: UUID | None = await reader.scalar(
        sa.select(columns.contract_id).where(columns.server_id == server_id, sa.text("live"))
    )
    return found


async def last_periods(reader: Reader, contract_id: UUID) -> list[ServicePeriod]:
    """The newest SHOWN_PERIODS periods, oldest first."""
    rows = await reader.rows(
        sa.select(periods)
        .where(periods.c.contract_id == contract_id)
        .order_by(periods.c.period_index.desc())
        .limit(SHOWN_PERIODS)
    )
    return [_period(row) for row in reversed(rows)]


async def period(reader: Reader, contract_id: UUID, period_index: int) -> ServicePeriod | None:
    """Any period of the contract, present or not."""
    row = await reader.row(
        sa.select(periods).where(periods.c.contract_id == contract_id, periods.c.period_index == period_index)
    )
    return None if row is None else _period(row)


async def keep_refund(tx: Transaction, contract: Contract, refund_id: UUID, period_index: int, at: datetime) -> None:
    """That the payment of a period went back; the present and the next one are saved with their contract."""
    if period_index < contract.current_index:
        past = sa.and_(periods.c.contract_id == contract.id, periods.c.period_index == period_index)
        await tx.execute(sa.update(periods).where(past).values(refund_id=refund_id, refunded_at=at))


async def count_in_window(reader: Reader) -> int:
    """How many contracts are between the opening of their window and the end of their period."""
    opened = sa.select(sa.func.count()).where(sa.text("expiring_told_at IS NOT NULL"), periods.c.ends_at > reader.now)
    count: int = await reader.scalar(opened)
    return count


async def servers_free(reader: Reader, contract: Contract) -> bool:
    """Whether no other live contract has taken a server of this one."""
    taken = await reader.row(
        sa.select(contract_servers.c.contract_id)
        .where(
            sets.among(reader, contract_servers.c.server_id, contract.server_ids),
            contract_servers.c.contract_id != contract.id,
            sa.text("live"),
        )
        .limit(1)
    )
    return taken is None


async def ids_serving(reader: Reader, server_id: UUID) -> set[UUID]:
    """The live contract that has the server, if there is one."""
    columns = contract_servers.c
    rows = await reader.rows(sa.select(columns.contract_id).where(columns.server_id == server_id, sa.text("live")))
    return {row.contract_id for row in rows}


async def save(tx: Transaction, *changed: Contract) -> None:
    """Write the contracts and the present and next period of each; raises StaleWrite, ServerInAnotherContract."""
    for contract in changed:
        contract.version += 1
    rows = [{"id": contract.id, **_contract_values(contract)} for contract in changed]
    if await sets.change(tx, contracts, rows, on="id") != len(rows):
        raise StaleWrite()
    await _save_periods(tx, changed)
    for live in (True, False):
        await _keep_servers(tx, [contract.id for contract in changed if contract.is_live is live], live)


async def _save_periods(tx: Transaction, changed: Sequence[Contract]) -> None:
    kept = [
        {"contract_id": contract.id, **_period_values(period)}
        for contract in changed
        for period in contract.periods.values()
    ]
    key = ("contract_id", "period_index")
    await sets.put(tx, periods, kept, on=key, update=tuple(name for name in kept[0] if name not in key) if kept else ())
    stopped = [contract.id for contract in changed if contract.current and contract.current.choice is Choice.STOP]
    if stopped:
        # A stop that replaced a standing renewal.
        await tx.execute(
            sa.delete(periods).where(
                sets.among(tx, periods.c.contract_id, stopped), periods.c.status == PeriodStatus.PLANNED
            )
        )


async def _keep_servers(tx: Transaction, contract_ids: Sequence[UUID], live: bool) -> None:
    if contract_ids:
        own = sets.among(tx, contract_servers.c.contract_id, contract_ids)
        try:
            await tx.execute(sa.update(contract_servers).where(own, contract_servers.c.live != live).values(live=live))
        except IntegrityError:
            # Taken since `servers_free` looked.
            raise ServerInAnotherContract(clause="3.4") from None


def _one(contract_id: UUID, only_customer: UUID | None) -> sa.Select[Any]:
    query = sa.select(contracts).where(contracts.c.id == contract_id)
    return query if only_customer is None else query.where(contracts.c.customer_id == only_customer)


async def _load(reader: Reader, query: sa.Select[Any]) -> list[Contract]:
    rows = await reader.rows(query)
    if not rows:
        return []
    found = {row.id: _contract(row) for row in rows}
    these = sets.among(reader, contracts.c.id, found)
    own = sa.and_(these, contracts.c.id == periods.c.contract_id)
    for row in await reader.rows(sa.select(periods).where(own, periods.c.period_index >= contracts.c.current_index)):
        found[row.contract_id].periods[row.period_index] = _period(row)
    own = sa.and_(these, contracts.c.id == payments.c.contract_id)
    for row in await reader.rows(sa.select(payments).where(own, payments.c.period_index >= contracts.c.current_index)):
        found[row.contract_id].payments[row.id] = payment_of(row)
    await _add_servers(reader, found)
    return list(found.values())


async def _add_servers(reader: Reader, found: dict[UUID, Contract]) -> None:
    columns = contract_servers.c
    rows = await reader.rows(
        sa.select(columns.contract_id, columns.server_id)
        .where(sets.among(reader, columns.contract_id, found))
        .order_by(columns.contract_id, columns.position)
    )
    for row in rows:
        found[row.contract_id].server_ids += (row.server_id,)


def _insist_on_periods(found: Sequence[Contract]) -> None:
    for contract in found:
        if contract.current_index and contract.current is None:
            raise PeriodMissing(f"contract {contract.id} is {contract.status} without its period")


def _contract(row: sa.Row[Any]) -> Contract:
    return Contract(
        id=row.id,
        customer_id=row.customer_id,
        status=ContractStatus(row.status),
        zone=row.zone,
        server_ids=(),
        plan=_plan(row, row.term_months),
        paper_bill=row.paper_bill,
        agreement_version=row.agreement_version,
        acceptance_id=row.acceptance_id,
        current_index=row.current_index,
        drafted_at=row.drafted_at,
        accepted_at=row.accepted_at,
        withdrawn_at=row.withdrawn_at,
        ended_at=row.ended_at,
        end_reason=EndReason(row.end_reason) if row.end_reason else None,
        disclosure_open_since=row.disclosure_open_since,
        version=row.version,
    )


def _contract_values(contract: Contract) -> dict[str, Any]:
    return {
        "customer_id": contract.customer_id,
        "status": contract.status,
        "zone": contract.zone,
        **_plan_values(contract.plan),
        "term_months": contract.plan.term_months,
        "paper_bill": contract.paper_bill,
        "agreement_version": contract.agreement_version,
        "acceptance_id": contract.acceptance_id,
        "current_index": contract.current_index,
        "drafted_at": contract.drafted_at,
        "accepted_at": contract.accepted_at,
        "withdrawn_at": contract.withdrawn_at,
        "ended_at": contract.ended_at,
        "end_reason": contract.end_reason,
        "disclosure_open_since": contract.disclosure_open_since,
        "version": contract.version,
    }


def _period(row: sa.Row[Any]) -> ServicePeriod:
    return ServicePeriod(
        period=Period(
            index=row.period_index,
            starts_at=row.starts_at,
            ends_at=row.ends_at,
            months=row.months,
            zone=row.zone,
            anchor_day=row.anchor_day,
            anchor_time=row.anchor_time,
            start_month=row.start_month,
        ),
        window=Window(opens_at=row.window_opens_at, closes_at=row.ends_at, zone=row.zone),
        status=PeriodStatus(row.status),
        agreement_version=row.agreement_version,
        acceptance_id=row.acceptance_id,
        plan=_plan(row, row.months),
        payment_id=row.payment_id,
        expiring_told_at=row.expiring_told_at,
        refund_asked_at=row.refund_asked_at,
        refund_id=row.refund_id,
        refunded_at=row.refunded_at,
        choice=Choice(row.choice) if row.choice else None,
        chosen_at=row.chosen_at,
        explained_at=row.explained_at,
        extended_until=row.extended_until,
    )


def _period_values(bought: ServicePeriod) -> dict[str, Any]:
    period = bought.period
    return {
        "period_index": period.index,
        "status": bought.status,
        "starts_at": period.starts_at,
        "ends_at": period.ends_at,
        "window_opens_at": bought.window.opens_at,
        "months": period.months,
        "zone": period.zone,
        "anchor_day": period.anchor_day,
        "anchor_time": period.anchor_time,
        "start_month": period.start_month,
        "agreement_version": bought.agreement_version,
        "acceptance_id": bought.acceptance_id,
        **_plan_values(bought.plan),
        "payment_id": bought.payment_id,
        "expiring_told_at": bought.expiring_told_at,
        "refund_asked_at": bought.refund_asked_at,
        "refund_id": bought.refund_id,
        "refunded_at": bought.refunded_at,
        "choice": bought.choice,
        "chosen_at": bought.chosen_at,
        "explained_at": bought.explained_at,
        "extended_until": bought.extended_until,
        "previous_index": period.index - 1 or None,
    }


def _plan(row: sa.Row[Any], term_months: int) -> BoughtPlan:
    return BoughtPlan(
        code=row.plan_code,
        version=row.plan_version,
        term_months=term_months,
        fee=Money(row.fee_minor, row.currency),
    )


def _plan_values(plan: BoughtPlan) -> dict[str, Any]:
    return {
        "plan_code": plan.code,
        "plan_version": plan.version,
        "fee_minor": plan.fee.minor,
        "currency": plan.fee.currency,
    }
