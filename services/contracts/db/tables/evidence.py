"""What other services told of a contract, kept as evidence."""

from __future__ import annotations

import sqlalchemy as sa

from services.contracts.db.tables.naming import metadata
from shared.kit.db import Instant, json_type

# No foreign key: what was told is kept whoever it is about.
evidence_facts = sa.Table(
    "evidence_facts",
    metadata,
    # The envelope's.
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("contract_id", sa.Uuid, nullable=False),
    sa.Column("server_id", sa.Uuid),
    sa.Column("kind", sa.String(60), nullable=False),
    sa.Column("source", sa.String(40), nullable=False),
    sa.Column("subject_id", sa.Uuid, nullable=False),
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("at", Instant, nullable=False),
    sa.Column("facts", json_type(), nullable=False),
    sa.Index("ix_evidence_facts_contract_id_at_id", "contract_id", "at", "id"),
)
