"""The tables of contracts; constraints say what must be true. Importing this makes the metadata whole."""

from services.contracts.db.tables.backups import verified_backups
from services.contracts.db.tables.contracts import (
    acceptances,
    accepted_texts,
    contract_servers,
    contracts,
    customers,
    payments,
    periods,
    servers,
)
from services.contracts.db.tables.naming import metadata
from services.contracts.db.tables.work import work_requests

__all__ = [
    "acceptances",
    "accepted_texts",
    "contract_servers",
    "contracts",
    "customers",
    "metadata",
    "payments",
    "periods",
    "servers",
    "verified_backups",
    "work_requests",
]
