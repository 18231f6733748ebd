"""The agreement as data: immutable versions, each with its text per language and its parameters."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any, ClassVar

from shared.kernel.channels import check_written
from shared.kernel.errors import Conflict, Invalid, NotFound
from shared.kernel.money import Money

UNTIL_THE_SERVICE_ENDS = "until-the-service-ends"


class NoSuchAgreement(NotFound):
    """There is no such version of the agreement."""


class AgreementTextDiffers(Conflict):
    """This is not the text of the agreement that is offered."""

    clause: ClassVar[str | None] = "3.1"


class MailingFeeUnknown(Invalid):
    """The agreement has no fee for mailing a bill in this currency."""

    clause: ClassVar[str | None] = "3.6"


class Language(StrEnum):
    EN = "en"
    ZH = "zh"


class Risk(IntEnum):
    LOW = 1
    MEDIUM = 2
    HIGH = 3

    @property
    def word(self) -> str:
        return self.name.lower()

    @classmethod
    def of_word(cls, word: str) -> Risk:
        return cls[word.upper()]


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """Every number of an agreement version. `refund_window_days` None: no window.

    `warranty_lasts` is a number of days, or UNTIL_THE_SERVICE_ENDS.
    """

    refuse_at_or_above: Risk
    fresh_backup_hours: int
    signed_off_after_days: int
    acknowledge_within_minutes: int
    escalate_every_minutes: int
    minimum_recovery_attempts: int
    local_backup_every_hours: int
    restore_target_hours: int
    retention_days: int
    remote_backup_every_hours: int
    readiness_valid_hours: int
    written_channels: tuple[str, ...]
    renewal_window_days: int
    longest_extension_days: int
    bill_mailing_fee: Mapping[str, int]
    rotate_after_disclosure_hours: int
    warranty_starts_after_days: int
    warranty_lasts: str | int
    refund_window_days: int | None = None

    def mailing_fee(self, currency: str) -> Money:
        """The fee for mailing a paper bill; raises MailingFeeUnknown."""
        try:
            return Money(self.bill_mailing_fee[currency], currency)
        except KeyError:
            raise MailingFeeUnknown(f"There is no mailing fee in {currency}.") from None

    def shown(self) -> dict[str, Any]:
        """JSON-ready, by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            **values,
            "refuse_at_or_above": self.refuse_at_or_above.word,
            "written_channels": list(self.written_channels),
            "bill_mailing_fee": dict(self.bill_mailing_fee),
        }

    def given(self) -> dict[str, Any]:
        """As `shown`, without what is only a default: a parameter that a later release adds changes no old version."""
        defaults = {each.name: each.default for each in fields(self) if each.default is not MISSING}
        return {
            name: value
            for name, value in self.shown().items()
            if name not in defaults or getattr(self, name) != defaults[name]
        }


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """One version; the SHA-256 is of the exact UTF-8 text that is served. `clauses`: the clause of each parameter."""

    version: str
    effective_from: datetime
    texts: Mapping[Language, str]
    parameters: Parameters
    clauses: Mapping[str, str] = field(default_factory=dict)

    def sha256(self, language: Language) -> str:
        return hashlib.sha256(self.texts[language].encode()).hexdigest()

    @property
    def terms(self) -> str:
        """Parameters and first day in one canonical JSON, which is what their SHA-256 is of."""
        return json.dumps(
            {"effective_from": self.effective_from.isoformat(), "parameters": self.parameters.given()},
            sort_keys=True,
            separators=(",", ":"),
        )

    @property
    def terms_sha256(self) -> str:
        return hashlib.sha256(self.terms.encode()).hexdigest()

    def check_channel(self, channel: str) -> None:
        """Raises OralRequest for a channel that leaves nothing in writing (3.1)."""
        check_written(channel, self.parameters.written_channels, agreement_version=self.version)

    def check_text(self, accepted: AcceptedText) -> None:
        """Raises AgreementTextDiffers unless exactly this version's text was accepted."""
        if accepted.version == self.version and accepted.sha256 == self.sha256(accepted.language):
            return
        raise AgreementTextDiffers(
            f"Offered is version {self.version}; read it again and accept its text.",
            field="agreement_version" if accepted.version != self.version else "text_sha256",
            agreement_version=self.version,
            offered_version=self.version,
            offered_sha256=self.sha256(accepted.language),
        )


@dataclass(frozen=True, kw_only=True)
class AcceptedText:
    """What the customer says it read and accepts."""

    version: str
    language: Language
    sha256: str


@dataclass(frozen=True)
class Agreements:
    """All published versions."""

    versions: tuple[Agreement, ...]

    def current(self, now: datetime) -> Agreement:
        """The newest version in effect; raises NoSuchAgreement before the first."""
        in_effect = [agreement for agreement in self.versions if agreement.effective_from <= now]
        if not in_effect:
            raise NoSuchAgreement("No version of the agreement is in effect yet.")
        return max(in_effect, key=lambda agreement: (agreement.effective_from, agreement.version))

    def after(self, agreement: Agreement) -> Agreement | None:
        """The version that takes effect next after that one."""
        later = [each for each in self.versions if each.effective_from > agreement.effective_from]
        return min(later, key=lambda each: (each.effective_from, each.version), default=None)

    def version(self, version: str) -> Agreement:
        """Raises NoSuchAgreement."""
        for agreement in self.versions:
            if agreement.version == version:
                return agreement
        raise NoSuchAgreement()
