"""Tables of what is known of servers: the software that was declared, and checks of their readiness."""

from __future__ import annotations

import sqlalchemy as sa

from services.contracts.db.tables.naming import metadata
from shared.kit.db import Instant

software_declarations = sa.Table(
    "software_declarations",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("server_id", sa.Uuid, sa.ForeignKey("servers.id"), nullable=False),
    sa.Column("customer_id", sa.Uuid, nullable=False),
    # From 1; the newest of a server counts alone.
    sa.Column("declaration_index", sa.Integer, nullable=False),
    sa.Column("agreement_version", sa.String(40), nullable=False),
    sa.Column("source", sa.String(20), nullable=False),
    sa.Column("spec_version", sa.String(20)),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("component_count", sa.Integer, nullable=False),
    sa.Column("channel", sa.String(200), nullable=False),
    sa.Column("declared_by", sa.String(200), nullable=False),
    sa.Column("declared_at", Instant, nullable=False),
    sa.CheckConstraint("source IN ('by-hand', 'cyclonedx-json', 'cyclonedx-xml', 'spdx-json')", name="source"),
    sa.CheckConstraint("(source = 'by-hand') = (spec_version IS NULL)", name="spec_version"),
    sa.CheckConstraint("declaration_index >= 1", name="declaration_index"),
    sa.CheckConstraint("component_count BETWEEN 0 AND 5000", name="component_count"),
    sa.Index("uq_software_declarations_server_id", "server_id", "declaration_index", unique=True),
    sa.Index("ix_software_declarations_server_id_id", "server_id", "id"),
)

software_components = sa.Table(
    "software_components",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("declaration_id", sa.Uuid, sa.ForeignKey("software_declarations.id"), nullable=False),
    sa.Column("name", sa.String(200), nullable=False),
    # Folded, so that it is found however its name is written.
    sa.Column("name_key", sa.String(1000), nullable=False),
    sa.Column("component_version", sa.String(200)),
    sa.Column("licence", sa.String(1000), nullable=False),
    sa.Column("purl", sa.String(1000)),
    sa.Index("ix_software_components_declaration_id_id", "declaration_id", "id"),
    sa.Index("ix_software_components_declaration_id_name_key", "declaration_id", "name_key"),
)

readiness_checks = sa.Table(
    "readiness_checks",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("server_id", sa.Uuid, sa.ForeignKey("servers.id"), nullable=False),
    sa.Column("customer_id", sa.Uuid, nullable=False),
    sa.Column("condition", sa.String(40), nullable=False),
    sa.Column("passed", sa.Boolean, nullable=False),
    sa.Column("checked_by", sa.String(200), nullable=False),
    sa.Column("checked_at", Instant, nullable=False),
    sa.Column("recorded_by", sa.String(200), nullable=False),
    sa.Column("recorded_at", Instant, nullable=False),
    sa.CheckConstraint("condition IN ('reachable', 'credentials-valid', 'free-disk')", name="condition"),
    sa.CheckConstraint("checked_at <= recorded_at", name="checked_at"),
    sa.Index("ix_readiness_checks_server_id_condition_checked_at", "server_id", "condition", "checked_at", "id"),
)
