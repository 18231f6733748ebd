"""Keep until when an extension carries a service on past the end of its period."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from shared.kit.db import Instant

revision = "0004"
down_revision = "0003"
phase = "expand"


def upgrade() -> None:
    op.add_column("coverages", sa.Column("extended_period", sa.Integer))
    op.add_column("coverages", sa.Column("extended_until", Instant))


def downgrade() -> None:
    op.drop_column("coverages", "extended_until")
    op.drop_column("coverages", "extended_period")
