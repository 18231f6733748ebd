"""Money that no invoice asks for becomes the customer's credit."""

from __future__ import annotations

from services.billing.db import credits, payments, refunds
from services.billing.domain.credit import CreditEntry, CreditKind, rest_of
from services.billing.domain.invoice import Invoice
from services.billing.domain.payment import Payment, PaymentStatus
from shared.kernel.ids import new_id
from shared.kernel.money import Money
from shared.kit import audit_trail
from shared.kit.db import Transaction


async def credit(tx: Transaction, payment: Payment, kind: CreditKind, amount: Money) -> None:
    """Nothing happens for nothing; once per payment and kind."""
    if amount.minor == 0:
        return
    entry = CreditEntry(
        id=new_id(),
        customer_id=payment.customer_id,
        payment_id=payment.id,
        kind=kind,
        amount=amount,
        created_at=tx.now,
    )
    await credits.add(tx, entry)
    audit_trail.record(tx, payment.customer_id, "credit", payment.id, kind=kind.value, amount=str(amount))


async def credit_unserved(tx: Transaction, invoice: Invoice) -> None:
    """What approved payments gave for a period that will not be served; the invoice's lock is held.

    Money that is asked back, or was paid back, is not credited besides.
    """
    if await refunds.is_in_force(tx, invoice.id):
        return
    for payment in await payments.of_invoice(tx, invoice.id):
        if payment.status is PaymentStatus.APPROVED:
            rest = rest_of(payment.amount, await credits.of_payment(tx, payment.id))
            await credit(tx, payment, CreditKind.NOT_SERVED, rest)
