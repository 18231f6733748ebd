"""Evidence: type, size and a harmless name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.billing.domain.evidence import (
    LARGEST_BYTES,
    MAGIC,
    EvidenceOfWrongType,
    EvidenceTooLarge,
    Upload,
    evidence_of,
    safe_name,
)


@pytest.mark.parametrize("media_type", MAGIC)
def test_evidence_is_what_it_says_it_is(media_type: str) -> None:
    upload = Upload("a", f"{media_type.upper()}; x=y", MAGIC[media_type])
    assert evidence_of(upload, agreement_version="v").media_type == media_type
    for other in MAGIC.keys() - {media_type}:
        with pytest.raises(EvidenceOfWrongType):
            evidence_of(Upload("a", other, MAGIC[media_type]), agreement_version="v")


def test_evidence_is_at_most_five_mebibytes() -> None:
    content = b"%PDF-".ljust(LARGEST_BYTES, b"x")
    assert evidence_of(Upload("a", "application/pdf", content), agreement_version="v").size_bytes == LARGEST_BYTES
    with pytest.raises(EvidenceTooLarge):
        evidence_of(Upload("a", "application/pdf", content + b"x"), agreement_version="v")


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("receipt.pdf", "receipt.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\pay\\收据.pdf", "收据.pdf"),
        ('a"; x=\r\n<b>.png', "a__ x____b_.png"),
        ("", "evidence"),
        ("...", "evidence"),
    ],
)
def test_a_file_name_is_made_harmless(name: str, safe: str) -> None:
    assert safe_name(name) == safe


@given(st.text(max_size=400))
def test_a_safe_name_is_short_and_plain(name: str) -> None:
    safe = safe_name(name)
    assert 0 < len(safe) <= 100
    assert all(character.isalnum() or character in "-_. " for character in safe)
