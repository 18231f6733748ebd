"""Index the ends of periods, for the one that follows to refer to."""

from __future__ import annotations

from alembic import op

from shared.kit.revisions.indexes import create_index_beside_traffic

revision = "0011"
down_revision = "0010"
phase = "expand"


def upgrade() -> None:
    create_index_beside_traffic("uq_periods_end", "periods", ["contract_id", "period_index", "ends_at"], unique=True)


def downgrade() -> None:
    op.drop_index("uq_periods_end", "periods")
