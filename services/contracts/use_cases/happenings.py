"""Tell what happened to a contract: the fact for the others, the decision with its clause, the timers to come."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from services.contracts.db import agreements, catalogue, contracts
from services.contracts.domain import choice, service
from services.contracts.domain.agreement import Parameters
from services.contracts.domain.contract import Contract
from services.contracts.domain.extension import extending
from services.contracts.domain.happening import (
    ChoiceKept,
    EndReason,
    Expired,
    Extended,
    Happening,
    Held,
    PaidTooLate,
    PaymentRejected,
    PaymentUnneeded,
    PeriodBegan,
    PeriodRefunded,
    Refunded,
    Registered,
    RenewalRequested,
    Renewed,
    WindowOpened,
)
from services.contracts.domain.payment import Payment
from services.contracts.domain.period import Choice, ServicePeriod
from shared.events import contracts as facts
from shared.events.envelope import Amount
from shared.kernel.judgement import Judgement
from shared.kit import audit_trail, decisions
from shared.kit.db import Transaction
from shared.kit.schedule import Timer, acting_for, set_timer

WINDOW_OPENS = "contract.window-opens"
PERIOD_ENDS = "contract.period-ends"
EXTENSION_ENDS = "contract.extension-ends"


async def let_time_pass(tx: Transaction, due: Sequence[Timer]) -> None:
    """Whatever was due by now and has not happened yet happens once, whoever asks and however late."""
    found = await contracts.get_all_for_update(tx, {timer.subject_id for timer in due})
    happened = [(timer, found[timer.subject_id].catch_up(tx.now)) for timer in due]
    await contracts.save(tx, *{timer.subject_id: found[timer.subject_id] for timer, told in happened if told}.values())
    for timer, told in happened:
        with acting_for(tx, timer):
            for happening in told:
                await _tell(tx, found[timer.subject_id], happening)


async def settle(tx: Transaction, contract: Contract, happened: Iterable[Happening], *, changed: bool = False) -> None:
    """Store the contract and tell what happened, in its order; `changed`: though nothing is to be told."""
    told = list(happened)
    if not told and not changed:
        return
    await contracts.save(tx, contract)
    for happening in told:
        await _tell(tx, contract, happening)


async def _tell(tx: Transaction, contract: Contract, happening: Happening) -> None:
    match happening:
        case Registered(period, payment):
            tx.publish(_service_registered(contract, period, payment.id))
            await _judge(tx, contract, period, service.registering, "registered", **_paid(payment, period))
            await _set_timers(tx, contract, period)
        case WindowOpened(period, standing):
            tx.publish(_service_expiring(contract, period, standing))
        case ChoiceKept():
            await _tell_choice(tx, contract, happening)
        case RenewalRequested(period):
            tx.publish(_renewal_requested(tx, contract, period))
        case Renewed(period, payment, held, closed_at):
            tx.publish(_service_renewed(contract, period, payment.id))
            shown = _to_renew(payment, ends_at=closed_at, held=held, servers_taken=False)
            await _judge(tx, contract, period, service.renewing, "renewed", **shown)
        case PeriodBegan(period):
            await _set_timers(tx, contract, period)
        case Held(period, payment):
            tx.publish(_service_held(contract, period, payment.id))
            shown = _of_payment(payment) | {"ends_at": _text(period.closes_at)}
            await _judge(tx, contract, period, service.holding, "held", **shown)
        case Extended(period):
            await _judge(tx, contract, period, extending, "extended", **_of_extension(period, tx.now))
        case Expired(period, ended_at, reason):
            tx.publish(_service_expired(contract, period, ended_at, reason))
            shown = {"reason": reason.value, "ends_at": _text(period.closes_at), "ended_at": _text(ended_at)}
            await _judge(tx, contract, period, service.expiring, "expired", **shown)
        case PeriodRefunded(refund_id, period_index, released_at):
            await contracts.keep_refund(tx, contract, refund_id, period_index, released_at)
            audit_trail.record(tx, contract.customer_id, "refund-period", contract.id, period_index=period_index)
        case Refunded(period):
            tx.publish(_service_refunded(contract, happening))
            await _judge(tx, contract, period, service.refunding, "refunded", **_of_refund(happening))
        case PaymentRejected(payment):
            await _judge(tx, contract, None, service.hearing_of_audit, "rejected", **_of_payment(payment))
        case PaidTooLate(payment, ended_at, servers_taken):
            if servers_taken:
                tx.publish(_renewal_refused(tx, contract, payment, ended_at))
            shown = _to_renew(payment, ends_at=ended_at, held=False, servers_taken=servers_taken)
            await _judge(tx, contract, None, service.renewing, "refused", **shown)
        case PaymentUnneeded(payment, status):
            audit_trail.record(
                tx, contract.customer_id, "ignore-payment", contract.id, payment_id=str(payment.id), status=status
            )


async def _tell_choice(tx: Transaction, contract: Contract, told: ChoiceKept) -> None:
    period, stopped = told.period, told.choice is Choice.STOP
    if stopped:
        tx.publish(_stop_requested(tx, contract, period))
    shown = {
        "standing": told.standing,
        "replaced": told.replaced and told.replaced.value,
        "window": [_text(period.window.opens_at), _text(told.closes_at)],
        "chosen_at": _text(tx.now),
    }
    await _judge(tx, contract, period, choice.stopping if stopped else choice.renewing, "accepted", **shown)
    audit_trail.record(tx, contract.customer_id, f"{told.choice}-contract", contract.id, standing=told.standing)


async def _judge_extended(tx: Transaction, contract: Contract, period: ServicePeriod) -> None:
    """Consumers know since it was granted: ServiceExtended."""
    assert period.explained_at is not None
    assert period.extended_until is not None
    shown = {
        "explained_at": _text(period.explained_at),
        "ends_at": _text(period.ends_at),
        "extended_until": _text(period.extended_until),
        "now": _text(tx.now),
    }
    await _judge(tx, contract, period, extending, "extended", **shown)


async def _set_timers(tx: Transaction, contract: Contract, period: ServicePeriod) -> None:
    await set_timer(tx, WINDOW_OPENS, contract.id, period.window.opens_at)
    await set_timer(tx, PERIOD_ENDS, contract.id, period.ends_at)


async def _judge(
    tx: Transaction,
    contract: Contract,
    period: ServicePeriod | None,
    judgement: Judgement,
    happened: str,
    **shown: Any,
) -> None:
    version = period.agreement_version if period else contract.agreement_version
    await decisions.judge(
        tx,
        judgement,
        subject_id=contract.id,
        customer_id=contract.customer_id,
        agreement_version=version,
        parameters=agreements.parameters_of(version),
        facts={"period_index": period.index, **shown} if period else shown,
        happened=happened,
    )


def _paid(payment: Payment, period: ServicePeriod) -> dict[str, Any]:
    assert payment.audited_at is not None
    audited_at, starts_at = _text(payment.audited_at), _text(period.starts_at)
    return _of_payment(payment) | {"audited_at": audited_at, "starts_at": starts_at}


def _to_renew(payment: Payment, *, ends_at: datetime, held: bool, servers_taken: bool) -> dict[str, Any]:
    when = {"ends_at": _text(ends_at), "held": held, "servers_in_another_contract": servers_taken}
    return _of_payment(payment) | when


def _of_payment(payment: Payment) -> dict[str, Any]:
    return {
        "payment_id": str(payment.id),
        "reported_at": _text(payment.reported_at),
        "audit": payment.verdict and payment.verdict.value,
        "invoice_covered": payment.covers,
    }


def _of_extension(period: ServicePeriod, now: datetime) -> dict[str, Any]:
    """Consumers know since it was granted: ServiceExtended."""
    assert period.explained_at is not None
    assert period.extended_until is not None
    when = {"explained_at": period.explained_at, "ends_at": period.ends_at, "extended_until": period.extended_until}
    return {name: _text(instant) for name, instant in {**when, "now": now}.items()}


def _of_refund(refunded: Refunded) -> dict[str, Any]:
    return {
        "refund_id": str(refunded.refund_id),
        "refunded_period_index": refunded.refunded_index,
        "released_at": _text(refunded.released_at),
        "ended_at": _text(refunded.ended_at),
        "was_ended": refunded.was_ended,
    }


def _service_registered(contract: Contract, period: ServicePeriod, payment_id: UUID) -> facts.ServiceRegistered:
    parameters = _parameters(period)
    return facts.ServiceRegistered(
        **_of(contract, period),
        starts_at=period.starts_at,
        ends_at=period.ends_at,
        zone=contract.zone,
        server_ids=list(contract.server_ids),
        payment_id=payment_id,
        local_backup_every_hours=_backup_every_hours(period, parameters),
        remote_backup_every_hours=parameters.remote_backup_every_hours,
        restore_target_hours=parameters.restore_target_hours,
        retention_days=parameters.retention_days,
    )


def _service_expiring(contract: Contract, period: ServicePeriod, standing: Choice | None) -> facts.ServiceExpiring:
    return facts.ServiceExpiring(
        **_of(contract, period),
        window_opens_at=period.window.opens_at,
        ends_at=period.ends_at,
        zone=contract.zone,
        standing_decision=standing.value if standing else None,
    )


def _renewal_requested(tx: Transaction, contract: Contract, period: ServicePeriod) -> facts.RenewalRequested:
    return facts.RenewalRequested(
        **_of(contract, period),
        plan_code=period.plan.code,
        plan_version=period.plan.version,
        term_months=period.plan.term_months,
        fee=Amount.of(period.plan.fee),
        mailing_fee=Amount.of(_parameters(period).mailing_fee(period.plan.fee.currency)),
        paper_bill=contract.paper_bill,
        starts_at=period.starts_at,
        ends_at=period.ends_at,
        requested_at=tx.now,
    )


def _renewal_refused(tx: Transaction, contract: Contract, payment: Payment, ended_at: datetime) -> facts.RenewalRefused:
    return facts.RenewalRefused(
        customer_id=contract.customer_id,
        contract_id=contract.id,
        agreement_version=contract.agreement_version,
        period_index=payment.period_index,
        payment_id=payment.id,
        ended_at=ended_at,
        reason="servers-in-another-contract",
        refused_at=tx.now,
    )


def _stop_requested(tx: Transaction, contract: Contract, period: ServicePeriod) -> facts.StopRequested:
    return facts.StopRequested(**_of(contract, period), ends_at=period.ends_at, requested_at=tx.now)


def _service_renewed(contract: Contract, period: ServicePeriod, payment_id: UUID) -> facts.ServiceRenewed:
    parameters = _parameters(period)
    return facts.ServiceRenewed(
        **_of(contract, period),
        starts_at=period.starts_at,
        ends_at=period.ends_at,
        zone=contract.zone,
        payment_id=payment_id,
        local_backup_every_hours=_backup_every_hours(period, parameters),
        remote_backup_every_hours=parameters.remote_backup_every_hours,
        restore_target_hours=parameters.restore_target_hours,
        retention_days=parameters.retention_days,
    )


def _service_held(contract: Contract, period: ServicePeriod, payment_id: UUID) -> facts.ServiceHeld:
    return facts.ServiceHeld(**_of(contract, period), ends_at=period.ends_at, payment_id=payment_id)


def _service_expired(
    contract: Contract, period: ServicePeriod, ended_at: datetime, reason: EndReason
) -> facts.ServiceExpired:
    return facts.ServiceExpired(
        **_of(contract, period),
        ended_at=ended_at,
        reason=reason.value,
        server_ids=list(contract.server_ids),
        retention_days=_parameters(period).retention_days,
    )


def _service_refunded(contract: Contract, refunded: Refunded) -> facts.ServiceRefunded:
    return facts.ServiceRefunded(
        **_of(contract, refunded.period),
        refund_id=refunded.refund_id,
        refunded_period_index=refunded.refunded_index,
        last_period_index=max(contract.periods),
        ended_at=refunded.ended_at,
        server_ids=list(contract.server_ids),
        retention_days=_parameters(refunded.period).retention_days,
    )


def _of(contract: Contract, period: ServicePeriod) -> dict[str, Any]:
    return {
        "customer_id": contract.customer_id,
        "contract_id": contract.id,
        "agreement_version": period.agreement_version,
        "period_index": period.index,
    }


def _parameters(period: ServicePeriod) -> Parameters:
    return agreements.published().version(period.agreement_version).parameters


def _backup_every_hours(period: ServicePeriod, parameters: Parameters) -> int:
    plan = catalogue.published().plan(
        period.plan.code, version=period.plan.version, agreement_version=period.agreement_version
    )
    return plan.backup_every_hours(parameters.local_backup_every_hours)


def _text(instant: datetime) -> str:
    return instant.isoformat()
