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
from services.contracts.db.tables.emergencies import emergencies
from services.contracts.db.tables.evidence import evidence_facts
from services.contracts.db.tables.extensions import extensions
from services.contracts.db.tables.incidents import condition_declarations, incidents, recovery_attempts
from services.contracts.db.tables.naming import metadata
from services.contracts.db.tables.published import accepted_versions, bought_plans
from services.contracts.db.tables.refunds import refund_requests, warranty_claims
from services.contracts.db.tables.software import readiness_checks, software_components, software_declarations
from services.contracts.db.tables.vault import disclosures, secret_reveals, secret_values, secrets, vault_keys
from services.contracts.db.tables.work import (
    bookings,
    risk_acknowledgements,
    risk_assessments,
    technicians,
    work_requests,
    work_steps,
)

__all__ = [
    "acceptances",
    "accepted_texts",
    "accepted_versions",
    "bookings",
    "bought_plans",
    "condition_declarations",
    "contract_servers",
    "contracts",
    "customers",
    "disclosures",
    "emergencies",
    "evidence_facts",
    "extensions",
    "incidents",
    "metadata",
    "payments",
    "periods",
    "readiness_checks",
    "recovery_attempts",
    "refund_requests",
    "risk_acknowledgements",
    "risk_assessments",
    "secret_reveals",
    "secret_values",
    "secrets",
    "servers",
    "software_components",
    "software_declarations",
    "technicians",
    "vault_keys",
    "verified_backups",
    "warranty_claims",
    "work_requests",
    "work_steps",
]
