"""Create emergencies."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from shared.kit.db import Instant

revision = "0015"
down_revision = "0014"
phase = "expand"

_OPEN = sa.text("status = 'open'")
_UNDER_WAY = sa.text("status IN ('open', 'acknowledged')")
_CHECKS = {
    "status": "status IN ('open', 'acknowledged', 'resolved', 'withdrawn')",
    "escalated": "escalations >= 0 AND (escalations = 0) = (escalated_at IS NULL)",
    "acknowledged_by": "(acknowledged_at IS NULL) = (acknowledged_by IS NULL)",
    "open": "status <> 'open' OR acknowledged_at IS NULL",
    "acknowledged": "status NOT IN ('acknowledged', 'resolved') OR acknowledged_at IS NOT NULL",
    "resolved": "(status = 'resolved') = (outcome IS NOT NULL AND log IS NOT NULL)",
    "outcome": "outcome IN ('restored', 'work-requested', 'not-ours', 'false-alarm')",
    "work_request_id": "(COALESCE(outcome, '') = 'work-requested') = (work_request_id IS NOT NULL)",
    "ended": "(status IN ('resolved', 'withdrawn')) = (ended_at IS NOT NULL)",
    "ended_by": "(ended_at IS NULL) = (ended_by IS NULL)",
}


def upgrade() -> None:
    op.create_table(
        "emergencies",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("contract_id", sa.Uuid, nullable=False),
        sa.Column("customer_id", sa.Uuid, nullable=False),
        sa.Column("server_id", sa.Uuid, nullable=False),
        sa.Column("period_index", sa.Integer, nullable=False),
        sa.Column("agreement_version", sa.String(40), nullable=False),
        sa.Column("seen", sa.String(4000), nullable=False),
        sa.Column("channel", sa.String(200), nullable=False),
        sa.Column("reported_at", Instant(), nullable=False),
        sa.Column("reported_by", sa.String(200), nullable=False),
        sa.Column("acknowledge_by", Instant(), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("escalations", sa.Integer, nullable=False),
        sa.Column("escalated_at", Instant()),
        sa.Column("acknowledged_at", Instant()),
        sa.Column("acknowledged_by", sa.String(200)),
        sa.Column("outcome", sa.String(20)),
        sa.Column("log", sa.String(4000)),
        sa.Column("work_request_id", sa.Uuid),
        sa.Column("ended_at", Instant()),
        sa.Column("ended_by", sa.String(200)),
        sa.Column("version", sa.Integer, nullable=False),
        *(sa.CheckConstraint(condition, name=op.f(f"ck_emergencies_{name}")) for name, condition in _CHECKS.items()),
        sa.ForeignKeyConstraint(["contract_id"], ["contracts.id"], name="fk_emergencies_contract_id"),
        sa.ForeignKeyConstraint(["server_id"], ["servers.id"], name="fk_emergencies_server_id"),
        sa.ForeignKeyConstraint(["work_request_id"], ["work_requests.id"], name="fk_emergencies_work_request_id"),
        sa.PrimaryKeyConstraint("id", name="pk_emergencies"),
    )
    op.create_index("ix_emergencies_contract_id_id", "emergencies", ["contract_id", "id"])
    op.create_index("ix_emergencies_customer_id_id", "emergencies", ["customer_id", "id"])
    op.create_index(
        "uq_emergencies_under_way",
        "emergencies",
        ["server_id"],
        unique=True,
        postgresql_where=_UNDER_WAY,
        sqlite_where=_UNDER_WAY,
    )
    op.create_index(
        "ix_emergencies_open", "emergencies", ["acknowledge_by"], postgresql_where=_OPEN, sqlite_where=_OPEN
    )


def downgrade() -> None:
    op.drop_table("emergencies")
