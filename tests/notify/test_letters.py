"""Every notice in both languages says what happened, when in the contract's zone, and by which clause."""

import re
from typing import Any

import pytest

from services.notify.domain.contact import Language
from services.notify.domain.notice import CLAUSES, Background, Notice, NoticeKind
from services.notify.use_cases.letters import letter_for
from shared.kernel.ids import new_id
from tests.notify.story import END, START

EUR: dict[str, Any] = {"minor": 1234_50, "currency": "EUR"}
FACTS: dict[str, Any] = {
    **{name: START.isoformat() for name in ("issued_at", "audited_at", "reported_at", "starts_at", "window_opens_at")},
    **{name: START.isoformat() for name in ("declared_at", "decided_at")},
    **dict.fromkeys(("incident_id", "server_id"), "5b6f"),
    **dict.fromkeys(("work_request_id", "operation_code"), "kernel-upgrade"),
    "failed_at": START.isoformat(),
    "place": "on-site",
    "moved": False,
    "unmet": ["free-disk", "reachable"],
    "liability": "exempt",
    "verdict": "changed",
    **{name: END.isoformat() for name in ("ends_at", "ended_at")},
    **{name: START.isoformat() for name in ("revealed_at", "disclosed_at", "replace_by", "overdue_at")},
    **{name: str(new_id()) for name in ("server_id", "secret_id", "work_request_id")},
    "secret_version": 2,
    "secret_kind": "password",
    "responsible": "customer",
    **dict.fromkeys(("net", "tax", "total", "amount", "outstanding", "mailing"), EUR),
    "invoice_covered": False,
    "standing_decision": None,
    "reason": "not-renewed",
    "server_count": 2,
    "retention_days": 30,
    "local_backup_every_hours": 24,
    "restore_target_hours": 4,
    "credit_note_number": "MC-2031-000003",
    **dict.fromkeys(("released_at", "declined_at"), START.isoformat()),
    "requested_at": START.isoformat(),
    "refused_at": START.isoformat(),
    "extended_until": END.isoformat(),
    "was_ended": False,
    **dict.fromkeys(("acknowledge_by", "acknowledged_at", "resolved_at"), START.isoformat()),
    "emergency_id": str(new_id()),
    "outcome": "work-requested",
    "approved_at": START.isoformat(),
    "every_hours": 24,
}

REASONS = {NoticeKind.REMOTE_BACKUP_DECLINED: {"reason": "no-capacity"}}


def a_notice(kind: NoticeKind, **facts: Any) -> Notice:
    ids: dict[str, Any] = {name: new_id() for name in ("id", "caused_by", "customer_id", "contract_id", "subject_id")}
    return Notice(
        **ids,
        kind=kind,
        period_index=1,
        facts={**FACTS, **facts},
        created_at=START,
        background=Background(agreement_version="2031-01", zone="America/New_York", invoice_number="2031-000017"),
    )


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("kind", NoticeKind)
def test_a_letter_cites_the_clause_and_the_version(kind: NoticeKind, language: Language) -> None:
    letter = letter_for(a_notice(kind, **REASONS.get(kind, {})), language)
    assert letter.subject
    assert letter.subject.isprintable()
    assert CLAUSES[kind] in letter.body
    assert "2031-01" in letter.body
    assert "America/New_York, GMT-04:00" in letter.body.replace("，", ", ")
    assert bool(re.search(r"[\u4e00-\u9fff]", letter.body)) == (language is Language.ZH)
    assert "\n\n\n" not in letter.body


@pytest.mark.parametrize(
    ("amount", "english"),
    [
        ({"minor": 123450, "currency": "EUR"}, "€1,234.50"),
        ({"minor": 1234, "currency": "JPY"}, "¥1,234"),
        ({"minor": 1234567, "currency": "KWD"}, "KWD\xa01,234.567"),
        ({"minor": 1234567, "currency": "IQD"}, "IQD\xa01,234.567"),
    ],
)
def test_money_is_written_to_its_last_minor_unit(amount: dict[str, Any], english: str) -> None:
    letter = letter_for(a_notice(NoticeKind.INVOICE_ISSUED, total=amount), Language.EN)
    assert letter.subject == f"Invoice 2031-000017: {english}".replace("\xa0", " ")


def test_a_standing_decision_is_repeated_in_the_warning() -> None:
    warning = letter_for(a_notice(NoticeKind.SERVICE_EXPIRING, standing_decision="stop"), Language.EN)
    assert "You have decided to stop." in warning.body


@pytest.mark.parametrize(("was_ended", "words"), [(False, "goes on after"), (True, "goes on again")])
def test_an_extension_says_whether_the_service_had_ended(was_ended: bool, words: str) -> None:
    letter = letter_for(a_notice(NoticeKind.SERVICE_EXTENDED, was_ended=was_ended), Language.EN)
    assert words in letter.body


def test_a_line_break_in_a_fact_does_not_reach_the_subject() -> None:
    notice = a_notice(NoticeKind.INVOICE_ISSUED)
    notice.background = Background(agreement_version="1", zone="UTC", invoice_number="17\r\nBcc: x@example.com")
    assert letter_for(notice, Language.EN).subject == "Invoice 17"


@pytest.mark.parametrize("language", Language)
def test_a_letter_about_an_incident_says_who_answers_by_the_clause_that_was_decided_by(language: Language) -> None:
    bodies = set()
    for liability, clause in [("company", "6.2"), ("customer", "5.1"), ("exempt", "2.4"), ("no-loss", "2.1")]:
        notice = a_notice(NoticeKind.INCIDENT_DECIDED, liability=liability, cites=clause)
        letter = letter_for(notice, language)
        assert clause in letter.body
        bodies.add(letter.body.replace(clause, "").replace(str(notice.id), "").replace(str(notice.contract_id), ""))
    assert len(bodies) == 4


def test_a_letter_about_an_appeal_says_whether_the_decision_stands() -> None:
    upheld = letter_for(a_notice(NoticeKind.APPEAL_DECIDED, verdict="upheld"), Language.EN)
    assert upheld.subject == "The decision is upheld: your appeal"
    assert "by somebody else than before. The decision is upheld." in upheld.body
