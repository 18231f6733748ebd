"""The words of notices and pages: a template in the reader's language, a customer's dates in the contract's zone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import jinja2
from babel.dates import format_datetime
from babel.numbers import format_currency

from services.notify.domain.contact import Language
from services.notify.domain.notice import Notice
from services.notify.domain.page import Call, Page
from shared.kernel.money import exponent_of
from shared.kernel.period import zone_named

TEMPLATES = Path(__file__).parents[1] / "templates"
LONGEST_SUBJECT = 150
_LOCALES = {Language.EN: "en", Language.ZH: "zh_Hans_CN"}
# To the second and with the zone's name: a service expires on the second.
_PATTERNS = {Language.EN: "d MMMM y, HH:mm:ss (VV, OOOO)", Language.ZH: "y年M月d日 HH:mm:ss（VV，OOOO）"}
# CLDR wants a space in "KWD 1.000" that Babel leaves out.
_LETTER_BEFORE_DIGIT = re.compile(r"(?<=[A-Za-z])(?=\d)")
_SUBJECT = "Subject: "


@dataclass(frozen=True)
class Letter:
    """`subject` is one line; `body` plain text."""

    subject: str
    body: str


# Plain text: there is nothing to escape, and header lines are made by the e-mail library.
_environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(TEMPLATES),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    autoescape=False,  # noqa: S701
)


def letter_for(notice: Notice, language: Language) -> Letter:
    """The notice in words; the same for the same notice and language, whenever it is asked for."""

    def when(instant: str) -> str:
        return _written(instant, language, notice.background.zone or "UTC")

    def money(amount: dict[str, Any]) -> str:
        exact = Decimal(amount["minor"]).scaleb(-exponent_of(amount["currency"]))
        text = format_currency(exact, amount["currency"], locale=_LOCALES[language], decimal_quantization=False)
        return _LETTER_BEFORE_DIGIT.sub("\u00a0", text)

    return _letter(
        f"{notice.kind}.{language}.txt",
        **notice.facts,
        notice_id=notice.id,
        contract_id=notice.contract_id,
        period_index=notice.period_index,
        invoice_number=notice.background.invoice_number,
        agreement_version=notice.agreement_version,
        clause=notice.clause,
        when=when,
        money=money,
    )


def page_for(page: Page, call: Call, language: Language) -> Letter:
    """What a person of the company is told of an emergency; its times are UTC's, as staff is anywhere."""

    def when(instant: str) -> str:
        return _written(instant, language, "UTC")

    return _letter(
        f"page.{language}.txt",
        **call.facts,
        emergency_id=call.emergency_id,
        customer_id=call.customer_id,
        agreement_version=call.agreement_version,
        escalation=page.escalation,
        reason=page.reason.value,
        when=when,
    )


def _written(instant: str, language: Language, zone: str) -> str:
    at, local = datetime.fromisoformat(instant), zone_named(zone)
    return format_datetime(at, _PATTERNS[language], tzinfo=local, locale=_LOCALES[language])


def _letter(template: str, **said: Any) -> Letter:
    text = _environment.get_template(template).render(**said)
    subject, _, body = text.partition("\n")
    return Letter(" ".join(subject.removeprefix(_SUBJECT).split())[:LONGEST_SUBJECT], body.strip() + "\n")
