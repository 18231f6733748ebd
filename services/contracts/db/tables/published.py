"""Tables of what was published, as somebody accepted or bought it first: it may not change after that."""

from __future__ import annotations

import sqlalchemy as sa

from services.contracts.db.tables.naming import metadata
from shared.kit.db import Instant

accepted_versions = sa.Table(
    "accepted_versions",
    metadata,
    sa.Column("agreement_version", sa.String(40), primary_key=True),
    sa.Column("terms_sha256", sa.String(64), nullable=False),
    # Canonical JSON, which is what the hash is of.
    sa.Column("terms", sa.Text, nullable=False),
    sa.Column("first_accepted_at", Instant, nullable=False),
)

bought_plans = sa.Table(
    "bought_plans",
    metadata,
    sa.Column("plan_code", sa.String(80), primary_key=True),
    sa.Column("plan_version", sa.Integer, primary_key=True),
    sa.Column("definition_sha256", sa.String(64), nullable=False),
    sa.Column("definition", sa.Text, nullable=False),
    sa.Column("first_bought_at", Instant, nullable=False),
)
