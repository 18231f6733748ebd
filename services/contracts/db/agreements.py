"""Agreement versions out of their folders, read once and checked as they are read."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, fields
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from services.contracts.domain import agreement_bounds, agreement_text
from services.contracts.domain.agreement import Agreement, Agreements, Language, Parameters, Risk
from services.contracts.domain.agreement_text import sections_of

FOLDER = Path(__file__).parent.parent / "agreements"
LONGEST_VERSION = 40
LARGEST_FILE = 1_000_000
"""Bytes."""

_VERSION = re.compile(rf"[0-9A-Za-z][0-9A-Za-z.-]{{0,{LONGEST_VERSION - 1}}}")
_NAMES = {each.name for each in fields(Parameters)}
_OPTIONAL = {each.name for each in fields(Parameters) if each.default is not MISSING}


class UnusableFolder(ValueError):
    """What is wrong with the folder of an agreement version, naming the file."""


@lru_cache(maxsize=1)
def published() -> Agreements:
    """Every version this process was started with; raises UnusableFolder."""
    return read_folder(FOLDER)


def parameters_of(version: str) -> dict[str, Any]:
    """Those of a published version, by name; raises NoSuchAgreement."""
    return published().version(version).parameters.shown()


def read_folder(folder: Path) -> Agreements:
    """Read `<version>/{en.md,zh.md,parameters.toml}`; raises UnusableFolder."""
    versions = tuple(read_version(path) for path in sorted(folder.iterdir()) if path.is_dir())
    starts = [agreement.effective_from for agreement in versions]
    for agreement in versions:
        if starts.count(agreement.effective_from) > 1:
            at = agreement.effective_from.isoformat()
            raise UnusableFolder(f"{agreement.version}/parameters.toml: another version takes effect at {at}, too")
    return Agreements(versions)


def read_version(folder: Path) -> Agreement:
    """One version, published or not yet; raises UnusableFolder."""
    if not _VERSION.fullmatch(folder.name):
        raise UnusableFolder(f"{folder.name!r}: a version is 1 to {LONGEST_VERSION} letters, digits, dots and hyphens")
    texts = {language: _text(folder / f"{language}.md") for language in Language}
    for language, wrong in agreement_text.what_is_wrong_with(texts).items():
        raise UnusableFolder(f"{folder.name}/{language}.md: {'; '.join(wrong)}")
    file = folder / "parameters.toml"
    try:
        document = tomllib.loads(_text(file))
    except tomllib.TOMLDecodeError as error:
        raise _unusable(file, f"is not TOML: {error}") from None
    effective_from = _effective_from(file, document)
    known = {each.number for each in sections_of(texts[Language.EN]) if each.is_clause}
    clauses = _clauses(file, document, known)
    values = {name: value for clause in document.values() for name, value in clause.items()}
    return Agreement(
        version=folder.name,
        effective_from=effective_from,
        texts=texts,
        parameters=_parameters(file, values),
        clauses=clauses,
    )


def _text(file: Path) -> str:
    try:
        content = file.read_bytes()
        if len(content) > LARGEST_FILE:
            raise _unusable(file, f"is larger than {LARGEST_FILE} bytes")
        return content.decode()
    except FileNotFoundError:
        raise _unusable(file, "is missing") from None
    except OSError as error:
        raise _unusable(file, f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise _unusable(file, "is not UTF-8") from None


def _effective_from(file: Path, document: dict[str, Any]) -> datetime:
    value = document.pop("effective_from", None)
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise _unusable(file, "effective_from has to be an instant with its offset: 2027-01-01T00:00:00Z")
    return value.astimezone(UTC)


def _clauses(file: Path, document: Mapping[str, Any], known: set[str]) -> dict[str, str]:
    """The clause of each parameter."""
    found: dict[str, str] = {}
    for clause, values in document.items():
        if not isinstance(values, dict):
            raise _unusable(file, f"{clause} stands below no clause")
        if clause not in known:
            raise _unusable(file, f'["{clause}"] is no clause of the text')
        for name in values:
            if name in found:
                raise _unusable(file, f"{name} stands below {found[name]} and {clause}")
            found[name] = clause
    if unknown := sorted(set(found) - _NAMES):
        raise _unusable(file, f"nobody knows the parameter(s) {', '.join(unknown)}")
    if missing := sorted(_NAMES - _OPTIONAL - set(found)):
        raise _unusable(file, f"lacks {', '.join(missing)}")
    return found


def _parameters(file: Path, values: dict[str, Any]) -> Parameters:
    words = [risk.word for risk in Risk]
    if values["refuse_at_or_above"] not in words:
        raise _unusable(file, f"refuse_at_or_above has to be one of {', '.join(words)}")
    values["refuse_at_or_above"] = Risk.of_word(values["refuse_at_or_above"])
    given: dict[str, Any] = {name: tuple(each) if isinstance(each, list) else each for name, each in values.items()}
    read = Parameters(**given)
    if wrong := agreement_bounds.what_is_wrong_with(read):
        raise _unusable(file, "; ".join(wrong))
    return read


def _unusable(file: Path, reason: str) -> UnusableFolder:
    return UnusableFolder(f"{file.parent.name}/{file.name}: {reason}")
