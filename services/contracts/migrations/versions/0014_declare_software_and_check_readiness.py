"""Keep declared software in versions, checks of readiness, and which software work touches."""

import sqlalchemy as sa
from alembic import op

from shared.kit.db import Instant, json_type

revision = "0014"
down_revision = "0013"
phase = "expand"


def upgrade() -> None:
    op.add_column("work_requests", sa.Column("software", json_type()))
    op.create_table(
        "software_declarations",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("server_id", sa.Uuid, nullable=False),
        sa.Column("customer_id", sa.Uuid, nullable=False),
        sa.Column("declaration_index", sa.Integer, nullable=False),
        sa.Column("agreement_version", sa.String(40), nullable=False),
        sa.Column("source", sa.String(20), nullable=False),
        sa.Column("spec_version", sa.String(20)),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("component_count", sa.Integer, nullable=False),
        sa.Column("channel", sa.String(200), nullable=False),
        sa.Column("declared_by", sa.String(200), nullable=False),
        sa.Column("declared_at", Instant(), nullable=False),
        sa.CheckConstraint(
            "source IN ('by-hand', 'cyclonedx-json', 'cyclonedx-xml', 'spdx-json')",
            name=op.f("ck_software_declarations_source"),
        ),
        sa.CheckConstraint(
            "(source = 'by-hand') = (spec_version IS NULL)", name=op.f("ck_software_declarations_spec_version")
        ),
        sa.CheckConstraint("declaration_index >= 1", name=op.f("ck_software_declarations_declaration_index")),
        sa.CheckConstraint("component_count BETWEEN 0 AND 5000", name=op.f("ck_software_declarations_component_count")),
        sa.ForeignKeyConstraint(["server_id"], ["servers.id"], name="fk_software_declarations_server_id"),
        sa.PrimaryKeyConstraint("id", name="pk_software_declarations"),
    )
    op.create_index(
        "uq_software_declarations_server_id", "software_declarations", ["server_id", "declaration_index"], unique=True
    )
    op.create_index("ix_software_declarations_server_id_id", "software_declarations", ["server_id", "id"])
    op.create_table(
        "software_components",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("declaration_id", sa.Uuid, nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("name_key", sa.String(1000), nullable=False),
        sa.Column("component_version", sa.String(200)),
        sa.Column("licence", sa.String(1000), nullable=False),
        sa.Column("purl", sa.String(1000)),
        sa.ForeignKeyConstraint(
            ["declaration_id"], ["software_declarations.id"], name="fk_software_components_declaration_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_software_components"),
    )
    op.create_index("ix_software_components_declaration_id_id", "software_components", ["declaration_id", "id"])
    op.create_index(
        "ix_software_components_declaration_id_name_key", "software_components", ["declaration_id", "name_key"]
    )
    op.create_table(
        "readiness_checks",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("server_id", sa.Uuid, nullable=False),
        sa.Column("customer_id", sa.Uuid, nullable=False),
        sa.Column("condition", sa.String(40), nullable=False),
        sa.Column("passed", sa.Boolean, nullable=False),
        sa.Column("checked_by", sa.String(200), nullable=False),
        sa.Column("checked_at", Instant(), nullable=False),
        sa.Column("recorded_by", sa.String(200), nullable=False),
        sa.Column("recorded_at", Instant(), nullable=False),
        sa.CheckConstraint(
            "condition IN ('reachable', 'credentials-valid', 'free-disk')", name=op.f("ck_readiness_checks_condition")
        ),
        sa.CheckConstraint("checked_at <= recorded_at", name=op.f("ck_readiness_checks_checked_at")),
        sa.ForeignKeyConstraint(["server_id"], ["servers.id"], name="fk_readiness_checks_server_id"),
        sa.PrimaryKeyConstraint("id", name="pk_readiness_checks"),
    )
    op.create_index(
        "ix_readiness_checks_server_id_condition_checked_at",
        "readiness_checks",
        ["server_id", "condition", "checked_at", "id"],
    )


def downgrade() -> None:
    op.drop_table("readiness_checks")
    op.drop_table("software_components")
    op.drop_table("software_declarations")
    op.drop_column("work_requests", "software")
