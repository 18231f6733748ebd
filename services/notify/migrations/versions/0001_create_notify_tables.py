"""Create the notify service's tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from shared.kit.db import Instant, json_type
from shared.kit.revisions import kit_0001

revision = "0001"
down_revision = None
phase = "expand"

TABLES = [
    "customers",
    "contacts",
    "contract_zones",
    "contract_periods",
    "invoices",
    "notices",
    "attempts",
    "partners",
    "partner_links",
    "partner_streams",
    "partner_events",
]


def upgrade() -> None:
    kit_0001.upgrade()
    op.create_table(
        "customers",
        sa.Column("customer_id", sa.Uuid, nullable=False),
        sa.Column("zone", sa.String(200)),
        sa.PrimaryKeyConstraint("customer_id", name="pk_customers"),
    )
    op.create_table(
        "contacts",
        sa.Column("customer_id", sa.Uuid, nullable=False),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("language", sa.String(2), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.CheckConstraint("language IN ('en', 'zh')", name="ck_contacts_language"),
        sa.PrimaryKeyConstraint("customer_id", name="pk_contacts"),
    )
    op.create_table(
        "contract_zones",
        sa.Column("contract_id", sa.Uuid, nullable=False),
        sa.Column("zone", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("contract_id", name="pk_contract_zones"),
    )
    op.create_table(
        "contract_periods",
        sa.Column("contract_id", sa.Uuid, nullable=False),
        sa.Column("period_index", sa.Integer, nullable=False),
        sa.Column("agreement_version", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("contract_id", "period_index", name="pk_contract_periods"),
    )
    op.create_table(
        "invoices",
        sa.Column("invoice_id", sa.Uuid, nullable=False),
        sa.Column("number", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("invoice_id", name="pk_invoices"),
    )
    op.create_table(
        "notices",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("caused_by", sa.Uuid, nullable=False),
        sa.Column("customer_id", sa.Uuid, nullable=False),
        sa.Column("contract_id", sa.Uuid, nullable=False),
        sa.Column("subject_id", sa.Uuid, nullable=False),
        sa.Column("invoice_id", sa.Uuid),
        sa.Column("period_index", sa.Integer, nullable=False),
        sa.Column("facts", json_type(), nullable=False),
        sa.Column("agreement_version", sa.String(200)),
        sa.Column("zone", sa.String(200)),
        sa.Column("invoice_number", sa.String(200)),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("failure", sa.String(10)),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("settled_at", Instant),
        sa.Column("version", sa.Integer, nullable=False),
        sa.UniqueConstraint("kind", "caused_by", name="uq_notices_kind_caused_by"),
        sa.CheckConstraint(
            "status IN ('waiting_for_facts', 'waiting_for_contact', 'pending', 'delivered', 'undeliverable')",
            name="ck_notices_status",
        ),
        sa.CheckConstraint(
            "status = 'waiting_for_facts' OR (agreement_version IS NOT NULL AND zone IS NOT NULL)",
            name="ck_notices_worded",
        ),
        sa.CheckConstraint(
            "(status IN ('delivered', 'undeliverable')) = (settled_at IS NOT NULL)", name="ck_notices_settled"
        ),
        sa.CheckConstraint("(status = 'undeliverable') = (failure IS NOT NULL)", name="ck_notices_failure"),
        sa.PrimaryKeyConstraint("id", name="pk_notices"),
    )
    waiting = sa.text("status IN ('waiting_for_facts', 'waiting_for_contact')")
    op.create_index("ix_notices_waiting", "notices", ["customer_id"], postgresql_where=waiting, sqlite_where=waiting)
    unproven = sa.text("status <> 'delivered'")
    op.create_index(
        "ix_notices_without_proof",
        "notices",
        ["status", "created_at"],
        postgresql_where=unproven,
        sqlite_where=unproven,
    )
    op.create_index("ix_notices_customer_id_id", "notices", ["customer_id", "id"])
    op.create_index("ix_notices_subject_id_id", "notices", ["subject_id", "id"])
    op.create_table(
        "attempts",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("notice_id", sa.Uuid, sa.ForeignKey("notices.id", name="fk_attempts_notice_id"), nullable=False),
        sa.Column("at", Instant, nullable=False),
        sa.Column("recipient", sa.String(254), nullable=False),
        sa.Column("language", sa.String(2), nullable=False),
        sa.Column("outcome", sa.String(10), nullable=False),
        sa.Column("smtp_code", sa.Integer),
        sa.Column("reply", sa.String(500)),
        sa.Column("reply_sha256", sa.String(64)),
        sa.Column("answered_at", Instant),
        sa.CheckConstraint("outcome IN ('started', 'accepted', 'deferred', 'refused')", name="ck_attempts_outcome"),
        sa.CheckConstraint("(outcome = 'started') = (answered_at IS NULL)", name="ck_attempts_answered"),
        sa.CheckConstraint("outcome <> 'accepted' OR smtp_code BETWEEN 200 AND 299", name="ck_attempts_accepted"),
        sa.PrimaryKeyConstraint("id", name="pk_attempts"),
    )
    op.create_index("ix_attempts_notice_id_id", "attempts", ["notice_id", "id"])
    op.create_table(
        "partners",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("topic_ready_at", Instant),
        sa.PrimaryKeyConstraint("id", name="pk_partners"),
    )
    op.create_table(
        "partner_links",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column(
            "partner_id", sa.Uuid, sa.ForeignKey("partners.id", name="fk_partner_links_partner_id"), nullable=False
        ),
        sa.Column("customer_id", sa.Uuid, nullable=False),
        sa.Column("channel", sa.String(200), nullable=False),
        sa.Column("status", sa.String(10), nullable=False),
        sa.Column("linked_at", Instant, nullable=False),
        sa.Column("ended_at", Instant),
        sa.Column("version", sa.Integer, nullable=False),
        sa.CheckConstraint("status IN ('linked', 'ended')", name="ck_partner_links_status"),
        sa.CheckConstraint("(status = 'ended') = (ended_at IS NOT NULL)", name="ck_partner_links_ended"),
        sa.PrimaryKeyConstraint("id", name="pk_partner_links"),
    )
    op.create_index(
        "uq_partner_links_live",
        "partner_links",
        ["customer_id", "partner_id"],
        unique=True,
        postgresql_where=sa.text("status = 'linked'"),
        sqlite_where=sa.text("status = 'linked'"),
    )
    op.create_index("ix_partner_links_partner_id_id", "partner_links", ["partner_id", "id"])
    op.create_index("ix_partner_links_customer_id_id", "partner_links", ["customer_id", "id"])
    op.create_table(
        "partner_streams",
        sa.Column(
            "partner_id", sa.Uuid, sa.ForeignKey("partners.id", name="fk_partner_streams_partner_id"), nullable=False
        ),
        sa.Column("last_seq", sa.BigInteger, nullable=False),
        sa.Column("purged_seq", sa.BigInteger, nullable=False),
        sa.CheckConstraint("0 <= purged_seq AND purged_seq <= last_seq", name="ck_partner_streams_order"),
        sa.PrimaryKeyConstraint("partner_id", name="pk_partner_streams"),
    )
    op.create_table(
        "partner_events",
        sa.Column(
            "partner_id", sa.Uuid, sa.ForeignKey("partners.id", name="fk_partner_events_partner_id"), nullable=False
        ),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("event_id", sa.Uuid, nullable=False),
        sa.Column("event", json_type(), nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.UniqueConstraint("partner_id", "event_id", name="uq_partner_events_partner_id_event_id"),
        sa.PrimaryKeyConstraint("partner_id", "seq", name="pk_partner_events"),
    )
    op.create_index("ix_partner_events_partner_id_created_at", "partner_events", ["partner_id", "created_at"])


def downgrade() -> None:
    for name in reversed(TABLES):
        op.drop_table(name)
    kit_0001.downgrade()
