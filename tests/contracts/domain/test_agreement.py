"""The agreement is data: versions, exact texts, parameters."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.contracts.db import agreements
from services.contracts.domain.agreement import (
    AcceptedText,
    Agreement,
    Agreements,
    AgreementTextDiffers,
    Language,
    MailingFeeUnknown,
    NoSuchAgreement,
)
from services.contracts.opening import check_published
from shared.kernel.channels import OralRequest
from shared.kernel.money import Money

CLAUSES = "1.1 1.2 1.3 2.1 2.2 2.3 2.4 3.1 3.2 3.3 3.4 3.5 3.6 4.1 5.1 5.2 5.3 6.1 6.2".split()
FIRST = agreements.published().version("2026-1")


def a_version(version: str, effective_from: datetime) -> Agreement:
    return replace(FIRST, version=version, effective_from=effective_from)


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("clause", CLAUSES)
def test_the_text_holds_every_clause_in_both_languages(language: Language, clause: str) -> None:
    assert f"**{clause} " in FIRST.texts[language]


@pytest.mark.parametrize(
    ("language", "phrases"),
    [
        (
            Language.EN,
            [
                "whose risk is high",
                "within\n15 minutes",
                "every 10 minutes",
                "at least one attempt",
                "at least every 24 hours",
                "a restore is 4 hours",
                "for 30 days and then delete",
                "within the 3 days before",
                "up to 30 days",
                "EUR 5.00, USD 6.00 or CNY 20.00",
                "replaced within 24 hours",
                "starts 7 days after",
            ],
        ),
        (Language.ZH, ["15 分钟", "每 10 分钟", "至少每 24 小时", "4 小时", "保留 30 日", "到期前 3 日", "满 7 日"]),
    ],
)
def test_the_text_says_the_numbers_of_its_parameters(language: Language, phrases: list[str]) -> None:
    text = FIRST.texts[language]
    assert [phrase for phrase in phrases if phrase not in text] == []


def test_the_parameters_are_those_of_the_text() -> None:
    assert FIRST.parameters.shown() == {
        "refuse_at_or_above": "high",
        "fresh_backup_hours": 24,
        "signed_off_after_days": 7,
        "acknowledge_within_minutes": 15,
        "escalate_every_minutes": 10,
        "minimum_recovery_attempts": 1,
        "local_backup_every_hours": 24,
        "restore_target_hours": 4,
        "retention_days": 30,
        "remote_backup_every_hours": 24,
        "readiness_valid_hours": 72,
        "written_channels": ["portal", "api", "email"],
        "renewal_window_days": 3,
        "longest_extension_days": 30,
        "bill_mailing_fee": {"EUR": 500, "USD": 600, "CNY": 2000},
        "rotate_after_disclosure_hours": 24,
        "warranty_starts_after_days": 7,
        "warranty_lasts": "until-the-service-ends",
        "refund_window_days": None,
    }


@pytest.mark.parametrize("language", Language)
def test_the_hash_is_of_the_files_very_bytes(language: Language) -> None:
    file = agreements.FOLDER / "2026-1" / f"{language}.md"
    assert FIRST.sha256(language) == hashlib.sha256(file.read_bytes()).hexdigest()


def test_the_current_version_is_the_newest_in_effect() -> None:
    start = datetime(2030, 1, 1, tzinfo=UTC)
    book = Agreements((a_version("b", start + timedelta(days=10)), a_version("a", start)))
    assert book.current(start).version == "a"
    assert book.current(start + timedelta(days=10) - timedelta(microseconds=1)).version == "a"
    assert book.current(start + timedelta(days=10)).version == "b"
    with pytest.raises(NoSuchAgreement):
        book.current(start - timedelta(microseconds=1))
    with pytest.raises(NoSuchAgreement):
        book.version("c")


def test_only_the_offered_version_and_its_very_text_can_be_accepted() -> None:
    right = AcceptedText(version="2026-1", language=Language.EN, sha256=FIRST.sha256(Language.EN))
    FIRST.check_text(right)
    for wrong in (
        replace(right, version="2025-9"),
        replace(right, language=Language.ZH),
        replace(right, sha256="0" * 64),
    ):
        with pytest.raises(AgreementTextDiffers):
            FIRST.check_text(wrong)


@pytest.mark.parametrize("channel", ["portal", "api", "email"])
def test_a_written_channel_is_taken(channel: str) -> None:
    FIRST.check_channel(channel)


@pytest.mark.parametrize("channel", ["phone", "in person", "Portal", ""])
def test_an_oral_request_is_refused_by_clause_3_1(channel: str) -> None:
    with pytest.raises(OralRequest) as refused:
        FIRST.check_channel(channel)
    assert (refused.value.cited_clause, refused.value.field) == ("3.1", "channel")
    assert refused.value.agreement_version == "2026-1"


def test_the_mailing_fee_goes_by_currency() -> None:
    assert FIRST.parameters.mailing_fee("CNY") == Money(2000, "CNY")
    with pytest.raises(MailingFeeUnknown):
        FIRST.parameters.mailing_fee("GBP")


def test_every_currency_of_the_catalogue_has_a_mailing_fee() -> None:
    check_published()
