"""The summary of an evidence bundle for people: a PDF in the language in which the agreement was accepted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any
from xml.sax.saxutils import escape

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.platypus import Flowable, LongTable, Paragraph, SimpleDocTemplate, Spacer, TableStyle

from services.contracts.domain.contract import Contract
from services.contracts.domain.evidence_bundle import Entry
from services.contracts.domain.incident import Incident

MOST_ROWS = 200
"""Of one table; the files beside hold all."""

_CHINESE = "STSong-Light"
_WORDS = {
    "en": {
        "title": "Evidence",
        "contract": "Contract",
        "incident": "Incident",
        "state": "Status",
        "accepted": "Agreement accepted",
        "periods": "Periods",
        "incidents": "Incidents",
        "decisions": "Decisions, newest last",
        "told": "Told by other services",
        "files": "Files",
        "none": "None.",
        "note": "This summary is for reading; what counts are the files beside it. They are checked, offline, by: "
        "mainstay verify-evidence FILE",
        "instant": "Instant (UTC)",
        "version": "Version",
        "language": "Language",
        "text": "SHA-256 of the text",
        "period": "Period",
        "from": "From",
        "until": "Until",
        "happened": "Happened",
        "cause": "Cause",
        "attempts": "Recovery attempts",
        "liability": "Liability",
        "clause": "Clause",
        "kind": "Kind",
        "verdict": "Verdict",
        "count": "Count",
        "file": "File",
        "undetermined": "undetermined",
    },
    "zh": {
        "title": "证据",
        "contract": "合同",
        "incident": "事件",
        "state": "状态",
        "accepted": "已接受的协议",
        "periods": "服务期",
        "incidents": "事件",
        "decisions": "决定（最新在后）",
        "told": "其他服务的通报",
        "files": "文件",
        "none": "无。",
        "note": "本摘要仅供阅读，以随附文件为准。离线核验命令：mainstay verify-evidence FILE",
        "instant": "时间（UTC）",
        "version": "版本",
        "language": "语言",
        "text": "文本的 SHA-256",
        "period": "期",
        "from": "起",
        "until": "止",
        "happened": "发生时间",
        "cause": "原因",
        "attempts": "恢复尝试",
        "liability": "责任",
        "clause": "条款",
        "kind": "种类",
        "verdict": "结论",
        "count": "数量",
        "file": "文件",
        "undetermined": "未确定",
    },
}


@dataclass
class Summary:
    """What the other files hold, as far as it fits on paper."""

    subject: dict[str, Any]
    contract: Contract
    incidents: list[Incident]
    acceptances: list[dict[str, Any]] = field(default_factory=list)
    periods: list[dict[str, Any]] = field(default_factory=list)
    decisions: list[dict[str, Any]] = field(default_factory=list)
    told: Counter[str] = field(default_factory=Counter)

    @property
    def language(self) -> str:
        return str(self.acceptances[-1]["language"]) if self.acceptances else "en"

    def count(self, kind: str) -> None:
        self.told[kind] += 1

    def decide(self, row: dict[str, Any]) -> None:
        """Keep the newest."""
        self.decisions.append(row)
        del self.decisions[:-MOST_ROWS]


def summary_of(summary: Summary, entries: Sequence[Entry]) -> bytes:
    """The same content gives the same bytes."""
    page = _Page(summary.language)
    word = page.words
    page.title(f"{word['title']} · {word[summary.subject['kind']]} {summary.subject['id']}")
    page.line(f"{word['contract']} {summary.contract.id} · {word['state']}: {summary.contract.status}")
    page.line(word["note"])
    page.table(
        word["accepted"],
        [word["instant"], word["version"], word["language"], word["text"]],
        [
            [_instant(row["accepted_at"]), row["agreement_version"], row["language"], row["text_sha256"]]
            for row in summary.acceptances[-MOST_ROWS:]
        ],
        [36, 20, 18, 96],
    )
    page.table(
        word["periods"],
        [word["period"], word["state"], word["from"], word["until"], word["version"]],
        [
            [row["period_index"], row["status"], _instant(row["starts_at"]), _instant(row["ends_at"]),
             row["agreement_version"]]
            for row in summary.periods[-MOST_ROWS:]
        ],
        [15, 35, 45, 45, 30],
    )  # fmt: skip
    page.table(
        word["incidents"],
        [word["happened"], word["cause"], word["attempts"], word["liability"], word["clause"], word["state"]],
        [_incident(incident, word) for incident in summary.incidents[-MOST_ROWS:]],
        [40, 45, 25, 22, 15, 23],
    )
    page.table(
        word["decisions"],
        [word["instant"], word["kind"], word["verdict"], word["clause"], word["version"]],
        [
            [_instant(row["decided_at"]), row["kind"], row["verdict"], row["clause"], row["agreement_version"]]
            for row in summary.decisions
        ],
        [42, 55, 33, 15, 25],
    )
    page.table(word["told"], [word["kind"], word["count"]], sorted(summary.told.items()), [130, 40])
    page.table(word["files"], [word["file"], "SHA-256"], [[entry.name, entry.sha256] for entry in entries], [60, 110])
    return page.rendered()


class _Page:
    def __init__(self, language: str) -> None:
        self.words = _WORDS.get(language, _WORDS["en"])
        font = "Helvetica"
        if self.words is _WORDS["zh"]:
            pdfmetrics.registerFont(UnicodeCIDFont(_CHINESE))
            font = _CHINESE
        # Hashes have no place to break at but anywhere.
        self._cell = ParagraphStyle("cell", fontName=font, fontSize=7, leading=9.5, splitLongWords=1)
        # Codes and hashes are readable also where the reader of the PDF has no Chinese font.
        self._code = ParagraphStyle("code", self._cell, fontName="Helvetica")
        self._body = ParagraphStyle("body", fontName=font, fontSize=9, leading=13)
        self._head = ParagraphStyle("head", fontName=font, fontSize=11, leading=16, spaceBefore=8)
        self._title = ParagraphStyle("title", fontName=font, fontSize=14, leading=20)
        self._story: list[Flowable] = []

    def title(self, text: str) -> None:
        self._story.append(Paragraph(escape(text), self._title))

    def line(self, text: str) -> None:
        self._story.append(Paragraph(escape(text), self._body))

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], widths: Sequence[float]) -> None:
        """`widths` in millimetres."""
        self._story.append(Paragraph(escape(title), self._head))
        if not rows:
            self.line(self.words["none"])
            return
        cells = [[self._paragraph(str(cell)) for cell in row] for row in [columns, *rows]]
        table = LongTable(cells, colWidths=[width * mm for width in widths], repeatRows=1)
        table.setStyle(
            TableStyle(
                [
                    ("LINEBELOW", (0, 0), (-1, 0), 0.6, colors.black),
                    ("LINEBELOW", (0, 1), (-1, -1), 0.2, colors.grey),
                    ("VALIGN", (0, 0), (-1, -1), "TOP"),
                    ("LEFTPADDING", (0, 0), (-1, -1), 2),
                    ("RIGHTPADDING", (0, 0), (-1, -1), 2),
                ]
            )
        )
        self._story += [table, Spacer(1, 2 * mm)]

    def _paragraph(self, text: str) -> Paragraph:
        return Paragraph(escape(text), self._code if text.isascii() else self._cell)

    def rendered(self) -> bytes:
        content = BytesIO()
        # Invariant: no time and no number of its own gets in. Compressed, the bytes would depend on the machine's zlib.
        document = SimpleDocTemplate(
            content,
            pagesize=A4,
            invariant=1,
            pageCompression=0,
            title=self.words["title"],
            author="Mainstay",
            leftMargin=20 * mm,
            rightMargin=20 * mm,
            topMargin=18 * mm,
            bottomMargin=18 * mm,
        )
        document.build(self._story)
        return content.getvalue()


def _incident(incident: Incident, word: dict[str, str]) -> list[str]:
    cause = incident.determination.cause
    return [
        _instant(incident.happened_at.isoformat()),
        cause.value if cause else word["undetermined"],
        str(len(incident.attempts)),
        incident.liability.value if incident.liability else "",
        incident.clause or "",
        incident.status.value,
    ]


def _instant(text: str) -> str:
    return text.replace("T", " ").removesuffix("+00:00")
