"""Tables of work: what was asked for, how risky it is, when and by whom it is done, and what came of it."""

from __future__ import annotations

import sqlalchemy as sa

from services.contracts.db.tables.naming import LANGUAGES, metadata
from shared.kit.db import Instant, json_type

work_requests = sa.Table(
    "work_requests",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("contract_id", sa.Uuid, sa.ForeignKey("contracts.id"), nullable=False),
    sa.Column("customer_id", sa.Uuid, nullable=False),
    sa.Column("server_id", sa.Uuid, sa.ForeignKey("servers.id"), nullable=False),
    sa.Column("operation_code", sa.String(80), nullable=False),
    sa.Column("risk", sa.Integer, nullable=False),
    sa.Column("agreement_version", sa.String(40), nullable=False),
    sa.Column("note", sa.String(4000)),
    sa.Column("requested_at", Instant, nullable=False),
    sa.Column("status", sa.String(20), nullable=False),
    sa.Column("decided_at", Instant),
    sa.Column("decided_by", sa.String(200)),
    sa.Column("reason", sa.String(4000)),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("origin", sa.String(20), nullable=False, server_default="customer"),
    sa.Column("warranty_of", sa.Uuid),
    sa.Column("preferred_starts_at", Instant),
    sa.Column("preferred_ends_at", Instant),
    sa.Column("preferred_place", sa.String(20)),
    sa.Column("assessment_id", sa.Uuid),
    sa.Column("assessed_risk", sa.Integer),
    sa.Column("acknowledgement_id", sa.Uuid),
    sa.Column("technician", sa.String(200)),
    sa.Column("starts_at", Instant),
    sa.Column("ends_at", Instant),
    sa.Column("place", sa.String(20)),
    sa.Column("scheduled_at", Instant),
    sa.Column("started_at", Instant),
    sa.Column("steps", sa.Integer, nullable=False, server_default="0"),
    sa.Column("ended_at", Instant),
    sa.Column("signed_off_at", Instant),
    # Names of what it touches; NULL: of none in particular.
    sa.Column("software", json_type()),
    sa.CheckConstraint(
        "status IN ('requested', 'assessed', 'accepted', 'refused', 'withdrawn', 'scheduled', 'in_progress', "
        "'completed', 'failed', 'signed_off')",
        name="status",
    ),
    sa.CheckConstraint("risk BETWEEN 1 AND 3", name="risk"),
    sa.CheckConstraint("(status IN ('requested', 'assessed')) = (decided_at IS NULL)", name="decided"),
    sa.CheckConstraint("status NOT IN ('refused', 'failed') OR reason IS NOT NULL", name="reason"),
    sa.CheckConstraint("(origin = 'warranty') = (warranty_of IS NOT NULL)", name="warranty"),
    sa.CheckConstraint("status <> 'assessed' OR assessment_id IS NOT NULL", name="assessed"),
    sa.CheckConstraint(
        "status NOT IN ('scheduled', 'in_progress') OR "
        "(technician IS NOT NULL AND starts_at IS NOT NULL AND ends_at > starts_at AND place IN ('on-site', 'remote'))",
        name="scheduled",
    ),
    sa.CheckConstraint("status <> 'in_progress' OR started_at IS NOT NULL", name="started"),
    sa.CheckConstraint("(status = 'signed_off') = (signed_off_at IS NOT NULL)", name="signed_off"),
    sa.Index("ix_work_requests_contract_id_id", "contract_id", "id"),
    sa.Index("ix_work_requests_customer_id_id", "customer_id", "id"),
    sa.Index("ix_work_requests_technician_id", "technician", "id"),
)

risk_assessments = sa.Table(
    "risk_assessments",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("work_request_id", sa.Uuid, sa.ForeignKey("work_requests.id"), nullable=False),
    sa.Column("hazard", json_type(), nullable=False),
    sa.Column("backup_completed_at", Instant),
    sa.Column("rehearsed_at", Instant),
    sa.Column("risk", sa.Integer, nullable=False),
    sa.Column("assessed_by", sa.String(200), nullable=False),
    sa.Column("assessed_at", Instant, nullable=False),
    sa.CheckConstraint("risk BETWEEN 1 AND 3", name="risk"),
    sa.Index("ix_risk_assessments_work_request_id_id", "work_request_id", "id"),
)

risk_acknowledgements = sa.Table(
    "risk_acknowledgements",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("work_request_id", sa.Uuid, sa.ForeignKey("work_requests.id"), nullable=False),
    sa.Column("assessment_id", sa.Uuid, sa.ForeignKey("risk_assessments.id"), nullable=False),
    sa.Column("language", sa.String(2), nullable=False),
    sa.Column("text_sha256", sa.String(64), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("acknowledged_by", sa.String(200), nullable=False),
    sa.Column("address", sa.String(64), nullable=False),
    sa.Column("channel", sa.String(200), nullable=False),
    sa.Column("acknowledged_at", Instant, nullable=False),
    sa.CheckConstraint(LANGUAGES, name="language"),
    sa.Index("ix_risk_acknowledgements_work_request_id_id", "work_request_id", "id"),
)

work_steps = sa.Table(
    "work_steps",
    metadata,
    sa.Column("work_request_id", sa.Uuid, sa.ForeignKey("work_requests.id"), primary_key=True),
    sa.Column("step_index", sa.Integer, primary_key=True),
    sa.Column("text", sa.String(4000), nullable=False),
    sa.Column("written_by", sa.String(200), nullable=False),
    sa.Column("written_at", Instant, nullable=False),
    sa.CheckConstraint("step_index BETWEEN 1 AND 1000", name="step_index"),
)

technicians = sa.Table(
    "technicians",
    metadata,
    # Who books a technician holds this row until the end of the transaction.
    sa.Column("subject", sa.String(200), primary_key=True),
    sa.Column("feed_sha256", sa.String(64)),
    sa.Column("feed_made_at", Instant),
    sa.CheckConstraint("(feed_sha256 IS NULL) = (feed_made_at IS NULL)", name="feed"),
    sa.Index("ix_technicians_feed_sha256", "feed_sha256", unique=True),
)

bookings = sa.Table(
    "bookings",
    metadata,
    sa.Column("work_request_id", sa.Uuid, sa.ForeignKey("work_requests.id"), primary_key=True),
    sa.Column("technician", sa.String(200), sa.ForeignKey("technicians.subject"), primary_key=True),
    sa.Column("starts_at", Instant, nullable=False),
    sa.Column("ends_at", Instant, nullable=False),
    sa.Column("place", sa.String(20), nullable=False),
    sa.Column("sequence", sa.Integer, nullable=False),
    sa.Column("live", sa.Boolean, nullable=False),
    sa.Column("cancelled", sa.Boolean, nullable=False),
    sa.Column("changed_at", Instant, nullable=False),
    sa.CheckConstraint("ends_at > starts_at", name="window"),
    sa.CheckConstraint("NOT (live AND cancelled)", name="live_or_cancelled"),
    # One technician at a time does a piece of work.
    sa.Index(
        "ix_bookings_live_work_request_id",
        "work_request_id",
        unique=True,
        postgresql_where=sa.text("live"),
        sqlite_where=sa.text("live"),
    ),
    sa.Index("ix_bookings_technician_ends_at", "technician", "ends_at"),
)
