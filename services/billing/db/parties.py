"""Parties as JSON: frozen on documents, and the address of a profile."""

from __future__ import annotations

from typing import Any

from services.billing.domain.profile import Address, Party


def address_json(address: Address) -> dict[str, Any]:
    return {
        "lines": list(address.lines),
        "city": address.city,
        "postal_code": address.postal_code,
        "country": address.country,
    }


def address_from(data: dict[str, Any]) -> Address:
    return Address(
        lines=tuple(data["lines"]), city=data["city"], postal_code=data["postal_code"], country=data["country"]
    )


def party_json(party: Party) -> dict[str, Any]:
    return {"legal_name": party.legal_name, "address": address_json(party.address), "tax_id": party.tax_id}


def party_from(data: dict[str, Any]) -> Party:
    return Party(legal_name=data["legal_name"], address=address_from(data["address"]), tax_id=data["tax_id"])
