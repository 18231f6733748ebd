"""A whole installation: backed up and restored, or exported from one set-up and imported into another."""

from __future__ import annotations

import typer

from deploy.cli.moving.into import import_, restore_system
from deploy.cli.moving.out import backup_system, export

PANEL = "Look after"


def add_to(app: typer.Typer) -> None:
    app.command("backup-system", rich_help_panel=PANEL)(backup_system)
    app.command("restore-system", rich_help_panel=PANEL)(restore_system)
    app.command("export", rich_help_panel=PANEL)(export)
    app.command("import", rich_help_panel=PANEL)(import_)
