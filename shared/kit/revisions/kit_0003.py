"""Keep the parameters that a decision was made by; decisions from before have none."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from shared.kit.db import json_type


def upgrade() -> None:
    op.add_column("decisions", sa.Column("parameters", json_type()))


def downgrade() -> None:
    with op.batch_alter_table("decisions") as decisions:
        decisions.drop_column("parameters")
