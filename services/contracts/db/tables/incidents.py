"""Tables of incidents: what was reported and decided, the recovery log, and declared conditions."""

from __future__ import annotations

import sqlalchemy as sa

from services.contracts.db.tables.naming import metadata
from shared.kit.db import Instant, json_type

CAUSES = (
    "cause IN ('company-defect', 'crash-during-maintenance', 'disk-damage-during-maintenance', 'conditions-unmet', "
    "'third-party', 'customer-misoperation', 'customer-disclosure', 'expired-unpaid')"
)
IN_MAINTENANCE = "cause IN ('crash-during-maintenance', 'disk-damage-during-maintenance')"

incidents = sa.Table(
    "incidents",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("contract_id", sa.Uuid, sa.ForeignKey("contracts.id"), nullable=False),
    sa.Column("customer_id", sa.Uuid, nullable=False),
    sa.Column("server_id", sa.Uuid, sa.ForeignKey("servers.id"), nullable=False),
    sa.Column("period_index", sa.Integer, nullable=False),
    sa.Column("agreement_version", sa.String(40), nullable=False),
    sa.Column("happened_at", Instant, nullable=False),
    sa.Column("seen", sa.String(4000), nullable=False),
    sa.Column("channel", sa.String(200), nullable=False),
    sa.Column("reported_at", Instant, nullable=False),
    sa.Column("reported_by", sa.String(200), nullable=False),
    sa.Column("status", sa.String(20), nullable=False),
    # NULL: undetermined.
    sa.Column("cause", sa.String(40)),
    sa.Column("data_lost", sa.Boolean, nullable=False),
    sa.Column("work_request_id", sa.Uuid, sa.ForeignKey("work_requests.id")),
    sa.Column("findings", json_type(), nullable=False),
    sa.Column("determined_at", Instant),
    sa.Column("determined_by", sa.String(200)),
    sa.Column("liability", sa.String(20)),
    sa.Column("clause", sa.String(10)),
    sa.Column("decided_at", Instant),
    sa.Column("decided_by", sa.String(200)),
    sa.Column("appealed_at", Instant),
    sa.Column("appealed_by", sa.String(200)),
    sa.Column("appeal_reason", sa.String(4000)),
    sa.Column("concluded_at", Instant),
    sa.Column("concluded_by", sa.String(200)),
    sa.Column("version", sa.Integer, nullable=False),
    sa.CheckConstraint("status IN ('reported', 'decided', 'appealed', 'concluded')", name="status"),
    sa.CheckConstraint(CAUSES, name="cause"),
    sa.CheckConstraint("liability IN ('company', 'customer', 'exempt', 'no-loss')", name="liability"),
    sa.CheckConstraint("happened_at <= reported_at", name="happened"),
    sa.CheckConstraint(f"work_request_id IS NULL OR ({IN_MAINTENANCE})", name="work"),
    sa.CheckConstraint("cause IS NULL OR determined_at IS NOT NULL", name="determined"),
    sa.CheckConstraint("(determined_at IS NULL) = (determined_by IS NULL)", name="determined_by"),
    sa.CheckConstraint("(status = 'reported') = (decided_at IS NULL)", name="decided"),
    # An undetermined cause is never decided upon.
    sa.CheckConstraint("decided_at IS NULL OR cause IS NOT NULL", name="facts_before_decision"),
    sa.CheckConstraint(
        "(decided_at IS NULL) = (decided_by IS NULL) AND (decided_at IS NULL) = (liability IS NULL) "
        "AND (decided_at IS NULL) = (clause IS NULL)",
        name="decided_by",
    ),
    sa.CheckConstraint("(status IN ('appealed', 'concluded')) = (appealed_at IS NOT NULL)", name="appealed"),
    sa.CheckConstraint(
        "(appealed_at IS NULL) = (appealed_by IS NULL) AND (appealed_at IS NULL) = (appeal_reason IS NULL)",
        name="appealed_by",
    ),
    sa.CheckConstraint("(status = 'concluded') = (concluded_at IS NOT NULL)", name="concluded"),
    sa.CheckConstraint("(concluded_at IS NULL) = (concluded_by IS NULL)", name="concluded_by"),
    sa.CheckConstraint("concluded_by <> decided_by", name="four_eyes"),
    sa.Index("ix_incidents_contract_id_id", "contract_id", "id"),
    sa.Index("ix_incidents_customer_id_id", "customer_id", "id"),
)

recovery_attempts = sa.Table(
    "recovery_attempts",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("incident_id", sa.Uuid, sa.ForeignKey("incidents.id"), nullable=False),
    sa.Column("method", sa.String(80), nullable=False),
    sa.Column("outcome", sa.String(20), nullable=False),
    sa.Column("attempted_at", Instant, nullable=False),
    sa.Column("recorded_at", Instant, nullable=False),
    sa.Column("recorded_by", sa.String(200), nullable=False),
    sa.CheckConstraint("outcome IN ('recovered', 'partly-recovered', 'failed')", name="outcome"),
    sa.CheckConstraint("attempted_at <= recorded_at", name="recorded"),
    sa.Index("ix_recovery_attempts_incident_id_id", "incident_id", "id"),
)

condition_declarations = sa.Table(
    "condition_declarations",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("contract_id", sa.Uuid, sa.ForeignKey("contracts.id"), nullable=False),
    sa.Column("customer_id", sa.Uuid, nullable=False),
    sa.Column("server_id", sa.Uuid, sa.ForeignKey("servers.id"), nullable=False),
    sa.Column("agreement_version", sa.String(40), nullable=False),
    sa.Column("unmet", json_type(), nullable=False),
    sa.Column("declared_at", Instant, nullable=False),
    sa.Column("declared_by", sa.String(200), nullable=False),
    sa.Column("status", sa.String(20), nullable=False),
    sa.Column("lifted_at", Instant),
    sa.Column("lifted_by", sa.String(200)),
    sa.Column("version", sa.Integer, nullable=False),
    sa.CheckConstraint("status IN ('declared', 'lifted')", name="status"),
    sa.CheckConstraint("(status = 'lifted') = (lifted_at IS NOT NULL)", name="lifted"),
    sa.CheckConstraint("(lifted_at IS NULL) = (lifted_by IS NULL)", name="lifted_by"),
    sa.Index("ix_condition_declarations_contract_id_id", "contract_id", "id"),
    sa.Index("ix_condition_declarations_server_id_declared_at", "server_id", "declared_at"),
)
