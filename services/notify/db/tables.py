"""The notify service's tables; constraints say what must be true."""

from __future__ import annotations

import sqlalchemy as sa

from services.notify.domain.attempt import LONGEST_REPLY
from services.notify.domain.contact import LONGEST_ADDRESS
from shared.kit.db import Instant, json_type
from shared.kit.tables import NAMING

metadata = sa.MetaData(naming_convention=NAMING)

WITHOUT_PROOF = sa.text("status <> 'delivered'")

customers = sa.Table(
    "customers",
    metadata,
    sa.Column("customer_id", sa.Uuid, primary_key=True),
    sa.Column("zone", sa.String(200)),
)

contacts = sa.Table(
    "contacts",
    metadata,
    sa.Column("customer_id", sa.Uuid, primary_key=True),
    sa.Column("email", sa.String(LONGEST_ADDRESS), nullable=False),
    sa.Column("language", sa.String(2), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.CheckConstraint("language IN ('en', 'zh')", name="language"),
)

contract_zones = sa.Table(
    "contract_zones",
    metadata,
    sa.Column("contract_id", sa.Uuid, primary_key=True),
    sa.Column("zone", sa.String(200), nullable=False),
)

contract_periods = sa.Table(
    "contract_periods",
    metadata,
    sa.Column("contract_id", sa.Uuid, primary_key=True),
    sa.Column("period_index", sa.Integer, primary_key=True),
    sa.Column("agreement_version", sa.String(200), nullable=False),
)

invoices = sa.Table(
    "invoices",
    metadata,
    sa.Column("invoice_id", sa.Uuid, primary_key=True),
    sa.Column("number", sa.String(200), nullable=False),
)

notices = sa.Table(
    "notices",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
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
    sa.UniqueConstraint("kind", "caused_by"),
    sa.CheckConstraint(
        "status IN ('waiting_for_facts', 'waiting_for_contact', 'pending', 'delivered', 'undeliverable')",
        name="status",
    ),
    sa.CheckConstraint(
        "status = 'waiting_for_facts' OR (agreement_version IS NOT NULL AND zone IS NOT NULL)", name="worded"
    ),
    sa.CheckConstraint("(status IN ('delivered', 'undeliverable')) = (settled_at IS NOT NULL)", name="settled"),
    sa.CheckConstraint("(status = 'undeliverable') = (failure IS NOT NULL)", name="failure"),
    sa.Index("ix_notices_customer_id_id", "customer_id", "id"),
    sa.Index("ix_notices_subject_id_id", "subject_id", "id"),
    sa.Index(
        "ix_notices_waiting",
        "customer_id",
        postgresql_where=sa.text("status IN ('waiting_for_facts', 'waiting_for_contact')"),
        sqlite_where=sa.text("status IN ('waiting_for_facts', 'waiting_for_contact')"),
    ),
    sa.Index(
        "ix_notices_without_proof", "status", "created_at", postgresql_where=WITHOUT_PROOF, sqlite_where=WITHOUT_PROOF
    ),
)

attempts = sa.Table(
    "attempts",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("notice_id", sa.Uuid, sa.ForeignKey("notices.id"), nullable=False),
    sa.Column("at", Instant, nullable=False),
    sa.Column("recipient", sa.String(LONGEST_ADDRESS), nullable=False),
    sa.Column("language", sa.String(2), nullable=False),
    sa.Column("outcome", sa.String(10), nullable=False),
    sa.Column("smtp_code", sa.Integer),
    sa.Column("reply", sa.String(LONGEST_REPLY)),
    sa.Column("reply_sha256", sa.String(64)),
    sa.Column("answered_at", Instant),
    sa.CheckConstraint("outcome IN ('started', 'accepted', 'deferred', 'refused')", name="outcome"),
    sa.CheckConstraint("(outcome = 'started') = (answered_at IS NULL)", name="answered"),
    sa.CheckConstraint("outcome <> 'accepted' OR smtp_code BETWEEN 200 AND 299", name="accepted"),
    sa.Index("ix_attempts_notice_id_id", "notice_id", "id"),
)

partners = sa.Table(
    "partners",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("topic_ready_at", Instant),
)

partner_links = sa.Table(
    "partner_links",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("partner_id", sa.Uuid, sa.ForeignKey("partners.id"), nullable=False),
    sa.Column("customer_id", sa.Uuid, nullable=False),
    sa.Column("channel", sa.String(200), nullable=False),
    sa.Column("status", sa.String(10), nullable=False),
    sa.Column("linked_at", Instant, nullable=False),
    sa.Column("ended_at", Instant),
    sa.Column("version", sa.Integer, nullable=False),
    sa.CheckConstraint("status IN ('linked', 'ended')", name="status"),
    sa.CheckConstraint("(status = 'ended') = (ended_at IS NOT NULL)", name="ended"),
    sa.Index(
        "uq_partner_links_live",
        "customer_id",
        "partner_id",
        unique=True,
        postgresql_where=sa.text("status = 'linked'"),
        sqlite_where=sa.text("status = 'linked'"),
    ),
    sa.Index("ix_partner_links_partner_id_id", "partner_id", "id"),
    sa.Index("ix_partner_links_customer_id_id", "customer_id", "id"),
)

partner_streams = sa.Table(
    "partner_streams",
    metadata,
    sa.Column("partner_id", sa.Uuid, sa.ForeignKey("partners.id"), primary_key=True),
    sa.Column("last_seq", sa.BigInteger, nullable=False),
    sa.Column("purged_seq", sa.BigInteger, nullable=False),
    sa.CheckConstraint("0 <= purged_seq AND purged_seq <= last_seq", name="order"),
)

partner_events = sa.Table(
    "partner_events",
    metadata,
    sa.Column("partner_id", sa.Uuid, sa.ForeignKey("partners.id"), primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True),
    sa.Column("event_id", sa.Uuid, nullable=False),
    sa.Column("event", json_type(), nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.UniqueConstraint("partner_id", "event_id"),
    sa.Index("ix_partner_events_partner_id_created_at", "partner_id", "created_at"),
)

staff_contacts = sa.Table(
    "staff_contacts",
    metadata,
    sa.Column("subject", sa.String(200), primary_key=True),
    sa.Column("email", sa.String(LONGEST_ADDRESS), nullable=False),
    sa.Column("language", sa.String(2), nullable=False),
    sa.Column("administrator", sa.Boolean, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.CheckConstraint("language IN ('en', 'zh')", name="language"),
)

on_call_shifts = sa.Table(
    "on_call_shifts",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("subject", sa.String(200), sa.ForeignKey("staff_contacts.subject"), nullable=False),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("starts_at", Instant, nullable=False),
    sa.Column("ends_at", Instant, nullable=False),
    sa.Column("created_by", sa.String(200), nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("cancelled_at", Instant),
    sa.CheckConstraint("position BETWEEN 1 AND 9", name="position"),
    sa.CheckConstraint("starts_at < ends_at", name="order"),
    sa.Index(
        "ix_on_call_shifts_ends_at",
        "ends_at",
        postgresql_where=sa.text("cancelled_at IS NULL"),
        sqlite_where=sa.text("cancelled_at IS NULL"),
    ),
)

calls = sa.Table(
    "calls",
    metadata,
    sa.Column("emergency_id", sa.Uuid, primary_key=True),
    sa.Column("customer_id", sa.Uuid, nullable=False),
    sa.Column("agreement_version", sa.String(200), nullable=False),
    sa.Column("facts", json_type(), nullable=False),
    sa.Column("escalation", sa.Integer, nullable=False),
    sa.Column("called_at", Instant, nullable=False),
    sa.Column("ended_at", Instant),
    sa.CheckConstraint("escalation >= 0", name="escalation"),
    sa.Index(
        "ix_calls_under_way",
        "called_at",
        postgresql_where=sa.text("ended_at IS NULL"),
        sqlite_where=sa.text("ended_at IS NULL"),
    ),
)

pages = sa.Table(
    "pages",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("emergency_id", sa.Uuid, sa.ForeignKey("calls.emergency_id"), nullable=False),
    sa.Column("escalation", sa.Integer, nullable=False),
    sa.Column("subject", sa.String(200), nullable=False),
    sa.Column("reason", sa.String(20), nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("status", sa.String(10), nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("smtp_code", sa.Integer),
    sa.Column("reply_sha256", sa.String(64)),
    sa.Column("settled_at", Instant),
    sa.Column("version", sa.Integer, nullable=False),
    sa.UniqueConstraint("emergency_id", "escalation", "subject"),
    sa.CheckConstraint("reason IN ('on-call', 'nobody-on-call', 'nobody-answers', 'not-delivered')", name="reason"),
    sa.CheckConstraint("status IN ('pending', 'delivered', 'failed', 'dropped')", name="status"),
    sa.CheckConstraint("(status = 'pending') = (settled_at IS NULL)", name="settled"),
    sa.CheckConstraint("status <> 'delivered' OR smtp_code BETWEEN 200 AND 299", name="delivered"),
    sa.Index("ix_pages_emergency_id_id", "emergency_id", "id"),
)
