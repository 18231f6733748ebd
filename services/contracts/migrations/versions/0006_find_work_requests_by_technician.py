"""Find work requests by their technician, and check the old ones by the new rules."""

from __future__ import annotations

from alembic import op

from shared.kit.revisions.indexes import create_index_beside_traffic, drop_index_beside_traffic

revision = "0006"
down_revision = "0005"
phase = "expand"

CHECKED = ("status", "decided", "reason", "warranty", "assessed", "scheduled", "started", "signed_off")


def upgrade() -> None:
    create_index_beside_traffic("ix_work_requests_technician_id", "work_requests", ["technician", "id"])
    if op.get_context().dialect.name == "postgresql":
        for name in CHECKED:
            op.execute(f"ALTER TABLE work_requests VALIDATE CONSTRAINT ck_work_requests_{name}")


def downgrade() -> None:
    drop_index_beside_traffic("ix_work_requests_technician_id", "work_requests")
