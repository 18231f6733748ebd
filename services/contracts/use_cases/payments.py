"""What billing tells of payments, in whatever order it arrives (3.2)."""

from __future__ import annotations

from services.contracts.db import agreements, contracts, payments
from services.contracts.domain.payment import Payment, Verdict
from services.contracts.use_cases.happenings import settle
from shared.events.billing import PaymentAudited, PaymentReported
from shared.kit.db import Transaction


async def hear_of_report(tx: Transaction, told: PaymentReported) -> None:
    """Remember the payment; one reported before the end keeps the service until finance decides."""
    contract = await contracts.get_for_update(tx, told.contract_id, only_customer=None)
    if await payments.find(tx, told.payment_id) is not None:
        return
    payment = Payment(id=told.payment_id, period_index=told.period_index, reported_at=told.reported_at)
    happened = contract.hear_report(payment, servers_free=await contracts.servers_free(tx, contract))
    happened += contract.catch_up(tx.now)
    await payments.keep(tx, contract.id, payment)
    await settle(tx, contract, happened)


async def hear_of_audit(tx: Transaction, told: PaymentAudited) -> None:
    """Register, renew or end the service as finance decided; a fact that was heard before changes nothing."""
    contract = await contracts.get_for_update(tx, told.contract_id, only_customer=None)
    known = await payments.find(tx, told.payment_id)
    if known is not None and not known.in_audit:
        return
    payment = Payment(
        id=told.payment_id,
        period_index=told.period_index,
        reported_at=told.reported_at,
        verdict=Verdict(told.verdict),
        covers=told.invoice_covered,
        audited_at=told.audited_at,
    )
    agreement = agreements.published().version(contract.agreement_version)
    happened = contract.hear_audit(
        payment,
        window_days=agreement.parameters.renewal_window_days,
        servers_free=await contracts.servers_free(tx, contract),
    )
    happened += contract.catch_up(tx.now)
    await payments.keep(tx, contract.id, payment)
    await settle(tx, contract, happened)
