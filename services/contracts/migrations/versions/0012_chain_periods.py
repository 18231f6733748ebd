"""Chain periods: each begins where the one before ends."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from shared.kit.revisions.checks import add_check, add_foreign_key, drop_check, drop_foreign_key

revision = "0012"
down_revision = "0011"
phase = "expand"

PREVIOUS = ("periods", "ck_periods_previous", "previous_index = period_index - 1")
OWN, THEIRS = ("contract_id", "previous_index", "starts_at"), ("contract_id", "period_index", "ends_at")


def upgrade() -> None:
    op.add_column("periods", sa.Column("previous_index", sa.Integer))
    add_check(*PREVIOUS)
    add_foreign_key("fk_periods_previous", "periods", OWN, "periods", THEIRS)


def downgrade() -> None:
    drop_foreign_key("fk_periods_previous", "periods", OWN, "periods", THEIRS)
    drop_check(*PREVIOUS)
    op.drop_column("periods", "previous_index")
