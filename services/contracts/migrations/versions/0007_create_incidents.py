"""Keep incidents with their recovery log, declared conditions, and what others told as evidence."""

import sqlalchemy as sa
from alembic import op

from shared.kit.db import Instant, json_type

revision = "0007"
down_revision = "0006"
phase = "expand"

IN_MAINTENANCE = "cause IN ('crash-during-maintenance', 'disk-damage-during-maintenance')"


def upgrade() -> None:
    op.create_table(
        "incidents",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("contract_id", sa.Uuid, nullable=False),
        sa.Column("customer_id", sa.Uuid, nullable=False),
        sa.Column("server_id", sa.Uuid, nullable=False),
        sa.Column("period_index", sa.Integer, nullable=False),
        sa.Column("agreement_version", sa.String(40), nullable=False),
        sa.Column("happened_at", Instant(), nullable=False),
        sa.Column("seen", sa.String(4000), nullable=False),
        sa.Column("channel", sa.String(200), nullable=False),
        sa.Column("reported_at", Instant(), nullable=False),
        sa.Column("reported_by", sa.String(200), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("cause", sa.String(40)),
        sa.Column("data_lost", sa.Boolean, nullable=False),
        sa.Column("work_request_id", sa.Uuid),
        sa.Column("findings", json_type(), nullable=False),
        sa.Column("determined_at", Instant()),
        sa.Column("determined_by", sa.String(200)),
        sa.Column("liability", sa.String(20)),
        sa.Column("clause", sa.String(10)),
        sa.Column("decided_at", Instant()),
        sa.Column("decided_by", sa.String(200)),
        sa.Column("appealed_at", Instant()),
        sa.Column("appealed_by", sa.String(200)),
        sa.Column("appeal_reason", sa.String(4000)),
        sa.Column("concluded_at", Instant()),
        sa.Column("concluded_by", sa.String(200)),
        sa.Column("version", sa.Integer, nullable=False),
        sa.ForeignKeyConstraint(["contract_id"], ["contracts.id"], name="fk_incidents_contract_id"),
        sa.ForeignKeyConstraint(["server_id"], ["servers.id"], name="fk_incidents_server_id"),
        sa.ForeignKeyConstraint(["work_request_id"], ["work_requests.id"], name="fk_incidents_work_request_id"),
        sa.CheckConstraint(
            "status IN ('reported', 'decided', 'appealed', 'concluded')", name=op.f("ck_incidents_status")
        ),
        sa.CheckConstraint(
            "cause IN ('company-defect', 'crash-during-maintenance', 'disk-damage-during-maintenance', "
            "'conditions-unmet', 'third-party', 'customer-misoperation', 'customer-disclosure', 'expired-unpaid')",
            name=op.f("ck_incidents_cause"),
        ),
        sa.CheckConstraint(
            "liability IN ('company', 'customer', 'exempt', 'no-loss')", name=op.f("ck_incidents_liability")
        ),
        sa.CheckConstraint("happened_at <= reported_at", name=op.f("ck_incidents_happened")),
        sa.CheckConstraint(f"work_request_id IS NULL OR ({IN_MAINTENANCE})", name=op.f("ck_incidents_work")),
        sa.CheckConstraint("cause IS NULL OR determined_at IS NOT NULL", name=op.f("ck_incidents_determined")),
        sa.CheckConstraint(
            "(determined_at IS NULL) = (determined_by IS NULL)", name=op.f("ck_incidents_determined_by")
        ),
        sa.CheckConstraint("(status = 'reported') = (decided_at IS NULL)", name=op.f("ck_incidents_decided")),
        sa.CheckConstraint("decided_at IS NULL OR cause IS NOT NULL", name=op.f("ck_incidents_facts_before_decision")),
        sa.CheckConstraint(
            "(decided_at IS NULL) = (decided_by IS NULL) AND (decided_at IS NULL) = (liability IS NULL) "
            "AND (decided_at IS NULL) = (clause IS NULL)",
            name=op.f("ck_incidents_decided_by"),
        ),
        sa.CheckConstraint(
            "(status IN ('appealed', 'concluded')) = (appealed_at IS NOT NULL)", name=op.f("ck_incidents_appealed")
        ),
        sa.CheckConstraint(
            "(appealed_at IS NULL) = (appealed_by IS NULL) AND (appealed_at IS NULL) = (appeal_reason IS NULL)",
            name=op.f("ck_incidents_appealed_by"),
        ),
        sa.CheckConstraint("(status = 'concluded') = (concluded_at IS NOT NULL)", name=op.f("ck_incidents_concluded")),
        sa.CheckConstraint("(concluded_at IS NULL) = (concluded_by IS NULL)", name=op.f("ck_incidents_concluded_by")),
        sa.CheckConstraint("concluded_by <> decided_by", name=op.f("ck_incidents_four_eyes")),
        sa.PrimaryKeyConstraint("id", name="pk_incidents"),
    )
    op.create_index("ix_incidents_contract_id_id", "incidents", ["contract_id", "id"])
    op.create_index("ix_incidents_customer_id_id", "incidents", ["customer_id", "id"])
    op.create_table(
        "recovery_attempts",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("incident_id", sa.Uuid, nullable=False),
        sa.Column("method", sa.String(80), nullable=False),
        sa.Column("outcome", sa.String(20), nullable=False),
        sa.Column("attempted_at", Instant(), nullable=False),
        sa.Column("recorded_at", Instant(), nullable=False),
        sa.Column("recorded_by", sa.String(200), nullable=False),
        sa.ForeignKeyConstraint(["incident_id"], ["incidents.id"], name="fk_recovery_attempts_incident_id"),
        sa.CheckConstraint(
            "outcome IN ('recovered', 'partly-recovered', 'failed')", name=op.f("ck_recovery_attempts_outcome")
        ),
        sa.CheckConstraint("attempted_at <= recorded_at", name=op.f("ck_recovery_attempts_recorded")),
        sa.PrimaryKeyConstraint("id", name="pk_recovery_attempts"),
    )
    op.create_index("ix_recovery_attempts_incident_id_id", "recovery_attempts", ["incident_id", "id"])
    op.create_table(
        "condition_declarations",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("contract_id", sa.Uuid, nullable=False),
        sa.Column("customer_id", sa.Uuid, nullable=False),
        sa.Column("server_id", sa.Uuid, nullable=False),
        sa.Column("agreement_version", sa.String(40), nullable=False),
        sa.Column("unmet", json_type(), nullable=False),
        sa.Column("declared_at", Instant(), nullable=False),
        sa.Column("declared_by", sa.String(200), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("lifted_at", Instant()),
        sa.Column("lifted_by", sa.String(200)),
        sa.Column("version", sa.Integer, nullable=False),
        sa.ForeignKeyConstraint(["contract_id"], ["contracts.id"], name="fk_condition_declarations_contract_id"),
        sa.ForeignKeyConstraint(["server_id"], ["servers.id"], name="fk_condition_declarations_server_id"),
        sa.CheckConstraint("status IN ('declared', 'lifted')", name=op.f("ck_condition_declarations_status")),
        sa.CheckConstraint(
            "(status = 'lifted') = (lifted_at IS NOT NULL)", name=op.f("ck_condition_declarations_lifted")
        ),
        sa.CheckConstraint(
            "(lifted_at IS NULL) = (lifted_by IS NULL)", name=op.f("ck_condition_declarations_lifted_by")
        ),
        sa.PrimaryKeyConstraint("id", name="pk_condition_declarations"),
    )
    op.create_index("ix_condition_declarations_contract_id_id", "condition_declarations", ["contract_id", "id"])
    op.create_index(
        "ix_condition_declarations_server_id_declared_at", "condition_declarations", ["server_id", "declared_at"]
    )
    op.create_table(
        "evidence_facts",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("contract_id", sa.Uuid, nullable=False),
        sa.Column("server_id", sa.Uuid),
        sa.Column("kind", sa.String(60), nullable=False),
        sa.Column("source", sa.String(40), nullable=False),
        sa.Column("subject_id", sa.Uuid, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("facts", json_type(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_evidence_facts"),
    )
    op.create_index("ix_evidence_facts_contract_id_at_id", "evidence_facts", ["contract_id", "at", "id"])


def downgrade() -> None:
    op.drop_table("evidence_facts")
    op.drop_table("condition_declarations")
    op.drop_table("recovery_attempts")
    op.drop_table("incidents")
