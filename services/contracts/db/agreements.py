"""Agreement versions out of their folders, read once; and the exact texts somebody accepted, kept for ever."""

from __future__ import annotations

import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from services.contracts.db.tables import acceptances, accepted_texts
from services.contracts.domain.agreement import AcceptedText, Agreement, Agreements, Language, Parameters, Risk
from services.contracts.domain.contract import Acceptance
from shared.kit.db import Reader, Transaction

FOLDER = Path(__file__).parent.parent / "agreements"


class PublishedTextChanged(Exception):
    """A version that somebody accepted has another text now: restore its folder."""


@lru_cache(maxsize=1)
def published() -> Agreements:
    """Every version this process was started with."""
    return read_folder(FOLDER)


def parameters_of(version: str) -> dict[str, Any]:
    """Those of a published version, by name; raises NoSuchAgreement."""
    return published().version(version).parameters.shown()


def read_folder(folder: Path) -> Agreements:
    """Read `<version>/{en.md,zh.md,parameters.toml}`; a missing or unknown parameter is a TypeError."""
    return Agreements(tuple(_read_version(path) for path in sorted(folder.iterdir()) if path.is_dir()))


def _read_version(folder: Path) -> Agreement:
    document = tomllib.loads((folder / "parameters.toml").read_text(encoding="utf-8"))
    effective_from = document.pop("effective_from")
    values: dict[str, Any] = {name: value for clause in document.values() for name, value in clause.items()}
    values["refuse_at_or_above"] = Risk.of_word(values["refuse_at_or_above"])
    values["written_channels"] = tuple(values["written_channels"])
    return Agreement(
        version=folder.name,
        effective_from=effective_from,
        texts={language: (folder / f"{language}.md").read_bytes().decode() for language in Language},
        parameters=Parameters(**values),
    )


async def keep_acceptance(tx: Transaction, acceptance: Acceptance, agreement: Agreement) -> None:
    """Store the customer's word beside the very text; raises PublishedTextChanged."""
    text = acceptance.text
    kept = await _kept_sha256(tx, text)
    if kept is None:
        values = {
            "agreement_version": text.version,
            "language": text.language,
            "text_sha256": text.sha256,
            "text": agreement.texts[text.language],
            "first_accepted_at": acceptance.accepted_at,
        }
        # Over every unique constraint: one left out would fail the second of two customers who accept at once.
        await tx.insert_once(accepted_texts, values)
        kept = await _kept_sha256(tx, text)
    if kept != text.sha256:
        raise PublishedTextChanged(text.version)
    await tx.insert(
        acceptances,
        {
            "id": acceptance.id,
            "contract_id": acceptance.contract_id,
            "period_index": acceptance.period_index,
            "agreement_version": text.version,
            "language": text.language,
            "text_sha256": text.sha256,
            "accepted_by": acceptance.accepted_by,
            "address": acceptance.address,
            "channel": acceptance.channel,
            "accepted_at": acceptance.accepted_at,
        },
    )


async def _kept_sha256(reader: Reader, text: AcceptedText) -> str | None:
    columns = accepted_texts.c
    found: str | None = await reader.scalar(
        sa.select(columns.text_sha256).where(
            columns.agreement_version == text.version, columns.language == text.language
        )
    )
    return found
