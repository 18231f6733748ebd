"""The agreement on paper: a PDF whose bytes depend on nothing but what it says."""

from __future__ import annotations

import re
from collections.abc import Sequence
from io import BytesIO
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import escape

from fastapi import Response
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.platypus import Flowable, Paragraph, SimpleDocTemplate, Spacer

from services.contracts.domain.agreement import Agreement, Language
from services.contracts.domain.agreement_text import Section, flowing, sections_of
from services.contracts.domain.contract import Acceptance

MEDIA_TYPE = "application/pdf"
RESPONSES: dict[int | str, dict[str, Any]] = {200: {"description": "The PDF", "content": {MEDIA_TYPE: {}}}}

_CHINESE = "STSong-Light"
_LATIN = "Helvetica"
_WORDS = {
    Language.EN: {
        "version": "Version",
        "effective": "In effect from (UTC)",
        "sha256": "SHA-256 of the text",
        "accepted": "Acceptance",
        "contract": "Contract",
        "period": "Period",
        "when": "Accepted at (UTC)",
        "who": "Accepted by",
        "channel": "Channel",
        "language": "Language",
    },
    Language.ZH: {
        "version": "版本",
        "effective": "生效时间（UTC）",
        "sha256": "文本的 SHA-256",
        "accepted": "接受记录",
        "contract": "合同",
        "period": "服务期",
        "when": "接受时间（UTC）",
        "who": "接受人",
        "channel": "渠道",
        "language": "语言",
    },
}
_NOT_PLAIN = re.compile(r"[^0-9A-Za-z._-]+")
_NOT_LATIN = re.compile(r"[^\x20-\x7e\xa0-\xff\s]+")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def printed(agreement: Agreement, language: Language) -> bytes:
    """One version in one language, with what identifies it."""
    word = _WORDS[language]
    page = _Page(language, agreement.texts[language])
    page.facts(
        [
            (word["version"], agreement.version),
            (word["effective"], agreement.effective_from.strftime("%Y-%m-%d %H:%M:%S")),
            (word["sha256"], agreement.sha256(language)),
        ]
    )
    return page.rendered(f"{word['version']} {agreement.version}")


def printed_accepted(text: str, acceptance: Acceptance) -> bytes:
    """The very text that was accepted, with who, when and how; the address is personal data and not on it."""
    accepted = acceptance.text
    word = _WORDS[accepted.language]
    page = _Page(accepted.language, text)
    page.heading(word["accepted"])
    page.facts(
        [
            (word["contract"], str(acceptance.contract_id)),
            (word["period"], str(acceptance.period_index)),
            (word["when"], acceptance.accepted_at.strftime("%Y-%m-%d %H:%M:%S")),
            (word["who"], acceptance.accepted_by),
            (word["channel"], acceptance.channel),
            (word["language"], accepted.language.value),
            (word["version"], accepted.version),
            (word["sha256"], accepted.sha256),
        ]
    )
    return page.rendered(f"{word['contract']} {acceptance.contract_id}")


def response(content: bytes, name: str) -> Response:
    """To be saved under `name`, of which only plain characters are left."""
    plain = _NOT_PLAIN.sub("_", name)[:120]
    return Response(
        content,
        media_type=MEDIA_TYPE,
        headers={
            "content-disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(plain, safe='')}",
            "x-content-type-options": "nosniff",
            "content-security-policy": "default-src 'none'; sandbox",
        },
    )


class _Page:
    """A text with its chapters and clauses, and what is said below it."""

    def __init__(self, language: Language, text: str) -> None:
        pdfmetrics.registerFont(UnicodeCIDFont(_CHINESE))
        # It has one weight only.
        pdfmetrics.registerFontFamily(_CHINESE, _CHINESE, _CHINESE, _CHINESE, _CHINESE)
        wrap = "CJK" if language is Language.ZH else None
        self._language = language
        self._body = ParagraphStyle("body", fontName=_LATIN, fontSize=10, leading=15, spaceAfter=6, wordWrap=wrap)
        self._head = ParagraphStyle("head", self._body, fontSize=12, leading=18, spaceBefore=8)
        self._title = ParagraphStyle("title", self._body, fontSize=15, leading=22, spaceAfter=10)
        # Hashes have no place to break at but anywhere.
        self._fact = ParagraphStyle("fact", self._body, fontSize=8, leading=12, spaceAfter=1, splitLongWords=1)
        self._story: list[Flowable] = []
        for section in sections_of(text):
            self._section(section)

    def _section(self, section: Section) -> None:
        if section.is_clause:
            first, *more = section.body.split("\n\n")
            self._add(f"<b>{_markup(section.number)} {_markup(section.title)}</b>&nbsp; {_markup(first)}", self._body)
            for paragraph in more:
                self._add(_markup(paragraph), self._body)
        elif section.title:
            self.heading(f"{section.number} {section.title}")
            self._prose(section.body)
        else:
            self._prose(flowing(section.text))

    def _prose(self, text: str) -> None:
        for paragraph in filter(None, text.split("\n\n")):
            title = paragraph.startswith("# ")
            self._add(_markup(paragraph.removeprefix("# ")), self._title if title else self._body)

    def heading(self, text: str) -> None:
        self._add(_markup(text), self._head)

    def facts(self, facts: Sequence[tuple[str, str]]) -> None:
        self._story.append(Spacer(1, 4 * mm))
        for name, value in facts:
            self._add(f"{_markup(name)}: {_markup(value)}", self._fact)

    def _add(self, markup: str, style: ParagraphStyle) -> None:
        self._story.append(Paragraph(markup, style))

    def rendered(self, title: str) -> bytes:
        content = BytesIO()
        # Invariant: no time and no number of its own gets in. Compressed, the bytes would depend on the machine's zlib.
        document = SimpleDocTemplate(
            content,
            pagesize=A4,
            invariant=1,
            pageCompression=0,
            title=title,
            author="Mainstay",
            lang=self._language.value,
            leftMargin=22 * mm,
            rightMargin=22 * mm,
            topMargin=20 * mm,
            bottomMargin=20 * mm,
        )
        document.build(self._story)
        return content.getvalue()


def _markup(text: str) -> str:
    """Latin in a font that every reader of PDFs brings; the rest in one that it takes from its system."""
    safe = escape(_CONTROLS.sub(" ", text))
    return _NOT_LATIN.sub(lambda found: f'<font name="{_CHINESE}">{found[0]}</font>', safe)
