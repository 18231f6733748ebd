"""The text by which a customer acknowledges the risk of one work request (1.1)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC
from string import Template
from typing import ClassVar

from services.contracts.domain.agreement import Language, Parameters, Risk
from services.contracts.domain.catalogue import Operation
from services.contracts.domain.risk import RiskAssessment, risk_of
from services.contracts.domain.work_request import WorkRequest
from shared.kernel.errors import Conflict

WORDS = {
    Language.EN: {Risk.LOW: "low", Risk.MEDIUM: "medium", Risk.HIGH: "high"},
    Language.ZH: {Risk.LOW: "低", Risk.MEDIUM: "中", Risk.HIGH: "高"},
}


class RiskTextDiffers(Conflict):
    """This is not the text about the risk as it was last assessed."""

    clause: ClassVar[str | None] = "1.1"


class NotAssessed(Conflict):
    """The risk has not been assessed yet."""

    clause: ClassVar[str | None] = "1.1"


@dataclass(frozen=True)
class RiskText:
    """The SHA-256 is of the exact UTF-8 text."""

    language: Language
    text: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    def check(self, sha256: str, *, agreement_version: str) -> None:
        """Raises RiskTextDiffers unless exactly this was read."""
        if sha256 != self.sha256:
            raise RiskTextDiffers(
                "Read it again and acknowledge what it says now.",
                field="text_sha256",
                agreement_version=agreement_version,
                offered_sha256=self.sha256,
            )


def risk_text(
    template: str,
    language: Language,
    *,
    work: WorkRequest,
    assessment: RiskAssessment,
    operation: Operation,
    server: str,
    parameters: Parameters,
) -> RiskText:
    """The template filled in with what was assessed; the same for the same assessment, whoever asks and when."""
    hazard, words = assessment.hazard, WORDS[language]
    likelihood, impact = hazard.lowered(assessment.seen(assessment.backup_completed_at), assessment.assessed_at)
    text = Template(template).substitute(
        agreement_version=work.agreement_version,
        work_request_id=work.id,
        operation=operation.names[language],
        server=server,
        assessed_at=f"{assessment.assessed_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC",
        likelihood=likelihood,
        impact=impact,
        risk=words[assessment.risk],
        bare_likelihood=hazard.likelihood,
        bare_impact=hazard.impact,
        bare_risk=words[risk_of(hazard.likelihood, hazard.impact)],
        threshold=words[parameters.refuse_at_or_above],
        fresh_backup_hours=parameters.fresh_backup_hours,
    )
    return RiskText(language, text)
