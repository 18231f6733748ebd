"""Rows ↔ documents with their lines: what an invoice and a credit note froze."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from services.billing.db.parties import party_from, party_json
from services.billing.domain.invoice import Document, Line, LineKind, Number
from services.billing.domain.tax import TaxCategory
from shared.kernel.money import Money, RoundingMode


def document_values(document: Document) -> dict[str, Any]:
    """All but the lines."""
    return {
        "series": document.number.series,
        "year": document.number.year,
        "sequence": document.number.sequence,
        "issued_on": document.issued_on,
        "issued_at": document.issued_at,
        "tax_minor": document.tax.minor,
        "total_minor": document.total.minor,
        "seller": party_json(document.seller),
        "buyer": party_json(document.buyer),
        "tax_name": document.tax_name,
        "rounding": document.rounding.value,
        "notes": list(document.notes),
        "tax_proof": document.proof,
    }


def lines_values(lines: Sequence[Line]) -> list[dict[str, Any]]:
    return [
        {
            "position": position,
            "kind": line.kind.value,
            "description": line.description,
            "amount_minor": line.amount.minor,
            "base_minor": line.base.minor if line.base else None,
            "currency": line.amount.currency,
            "category": line.category,
            "rate_percent": str(line.rate_percent),
        }
        for position, line in enumerate(lines, 1)
    ]


def line_from(row: Any) -> Line:
    return Line(
        kind=LineKind(row.kind),
        description=row.description,
        amount=Money(row.amount_minor, row.currency),
        category=TaxCategory(row.category),
        rate_percent=Decimal(row.rate_percent),
        base=None if row.base_minor is None else Money(row.base_minor, row.currency),
    )


def document_from(row: Any, lines: Sequence[Line]) -> Document:
    return Document(
        number=Number(series=row.series, year=row.year, sequence=row.sequence),
        issued_on=row.issued_on,
        issued_at=row.issued_at,
        seller=party_from(row.seller),
        buyer=party_from(row.buyer),
        tax_name=row.tax_name,
        rounding=RoundingMode(row.rounding),
        notes=tuple(row.notes),
        proof=row.tax_proof,
        lines=tuple(lines),
    )
