"""Contracts in the states that rules are about."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from services.contracts.domain.agreement import AcceptedText, Language
from services.contracts.domain.contract import Acceptance, Contract
from services.contracts.domain.happening import Happening
from services.contracts.domain.payment import Payment, Verdict
from services.contracts.domain.period import BoughtPlan
from shared.kernel.ids import new_id
from shared.kernel.money import Money

START = datetime(2030, 1, 10, 12, tzinfo=UTC)
END = datetime(2030, 2, 10, 12, tzinfo=UTC)
OPENS = datetime(2030, 2, 7, 12, tzinfo=UTC)
IN_WINDOW = OPENS + timedelta(hours=1)
SECOND_END = datetime(2030, 3, 10, 12, tzinfo=UTC)
MOMENT = timedelta(microseconds=1)
WINDOW_DAYS = 3
MONTHLY = BoughtPlan(code="care", version=1, term_months=1, fee=Money(24900, "EUR"))


def a_contract() -> Contract:
    return Contract(
        id=new_id(),
        customer_id=new_id(),
        zone="UTC",
        server_ids=(new_id(),),
        plan=MONTHLY,
        paper_bill=False,
        agreement_version="2026-1",
        drafted_at=START - timedelta(days=2),
    )


def an_acceptance(contract: Contract, index: int = 1, *, version: str = "2026-1") -> Acceptance:
    return Acceptance(
        id=new_id(),
        contract_id=contract.id,
        period_index=index,
        text=AcceptedText(version=version, language=Language.EN, sha256="0" * 64),
        accepted_by="somebody",
        address="192.0.2.1",
        channel="portal",
        accepted_at=START - timedelta(days=1),
    )


def an_accepted_contract() -> Contract:
    contract = a_contract()
    contract.accept(an_acceptance(contract))
    return contract


def an_active_contract() -> Contract:
    """Period 1 from START to END, its window opening at OPENS."""
    contract = an_accepted_contract()
    hear_audit(contract, an_audited(index=1, reported_at=START - timedelta(hours=2), audited_at=START))
    return contract


def a_renewing_contract() -> Contract:
    """In its window, renewal asked for and not paid."""
    contract = an_active_contract()
    contract.catch_up(IN_WINDOW)
    renew(contract, IN_WINDOW)
    return contract


def a_held_contract() -> tuple[Contract, Payment]:
    contract = a_renewing_contract()
    payment = a_reported(reported_at=END - MOMENT)
    contract.hear_report(payment, servers_free=True)
    contract.catch_up(END)
    return contract, payment


def renew(contract: Contract, now: datetime, *, version: str = "2026-1", plan: BoughtPlan = MONTHLY) -> list[Happening]:
    acceptance = an_acceptance(contract, contract.current_index + 1, version=version)
    return contract.renew(plan=plan, acceptance=acceptance, window_days=WINDOW_DAYS, now=now)


def a_reported(*, index: int = 2, reported_at: datetime, payment_id: UUID | None = None) -> Payment:
    return Payment(id=payment_id or new_id(), period_index=index, reported_at=reported_at)


def an_audited(
    *,
    index: int = 2,
    reported_at: datetime,
    audited_at: datetime | None = None,
    verdict: Verdict = Verdict.APPROVED,
    covers: bool = True,
    payment_id: UUID | None = None,
) -> Payment:
    return Payment(
        id=payment_id or new_id(),
        period_index=index,
        reported_at=reported_at,
        verdict=verdict,
        covers=covers and verdict is Verdict.APPROVED,
        audited_at=audited_at or reported_at + timedelta(hours=1),
    )


def hear_audit(contract: Contract, payment: Payment, *, servers_free: bool = True) -> list[Happening]:
    return contract.hear_audit(payment, window_days=WINDOW_DAYS, servers_free=servers_free)


def names(happened: list[Happening]) -> list[str]:
    return [type(happening).__name__ for happening in happened]
