"""Keep the terms of agreement versions and the plans that somebody accepted and bought."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from shared.kit.db import Instant

revision = "0010"
down_revision = "0009"
phase = "expand"


def upgrade() -> None:
    op.create_table(
        "accepted_versions",
        sa.Column("agreement_version", sa.String(40), nullable=False),
        sa.Column("terms_sha256", sa.String(64), nullable=False),
        sa.Column("terms", sa.Text, nullable=False),
        sa.Column("first_accepted_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("agreement_version", name="pk_accepted_versions"),
    )
    op.create_table(
        "bought_plans",
        sa.Column("plan_code", sa.String(80), nullable=False),
        sa.Column("plan_version", sa.Integer, nullable=False),
        sa.Column("definition_sha256", sa.String(64), nullable=False),
        sa.Column("definition", sa.Text, nullable=False),
        sa.Column("first_bought_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("plan_code", "plan_version", name="pk_bought_plans"),
    )


def downgrade() -> None:
    op.drop_table("bought_plans")
    op.drop_table("accepted_versions")
