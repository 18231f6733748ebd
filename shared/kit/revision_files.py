"""What a service's revision files say: their phases, and the SQL that each of them is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import Script, ScriptDirectory
from sqlalchemy.pool import StaticPool

Phase = Literal["expand", "contract"]
Dialect = Literal["sqlite", "postgresql"]

_BOOKKEEPING = re.compile(
    r"--|BEGIN;|COMMIT;|(?:CREATE TABLE|INSERT INTO|UPDATE|DELETE FROM|DROP TABLE) alembic_version\b"
)


class WrongRevision(Exception):
    """A revision file does not declare what it has to."""


@dataclass(frozen=True)
class Revision:
    """One step of a service's tables.

    An `expand` step leaves everything that running processes use. A `contract` step takes something away, and
    `oldest_version` names the first release that does without it. `judged_safe` maps a statement that
    shared.kit.safe_sql would refuse, or its beginning, to the reason why a person lets it pass.
    """

    number: str
    title: str
    phase: Phase
    oldest_version: str | None = None
    judged_safe: Mapping[str, str] = field(default_factory=dict)


def revisions_in(folder: Path) -> list[Revision]:
    """All of a service, oldest first; raises WrongRevision."""
    return [_declared(script) for script in ScriptDirectory(str(folder)).walk_revisions()][::-1]


def _declared(script: Script) -> Revision:
    said = vars(script.module)
    phase, oldest = said.get("phase"), said.get("oldest_version")
    if phase not in ("expand", "contract"):
        raise WrongRevision(f'{script.revision}: phase is "expand" or "contract"')
    if (phase == "contract") != (oldest is not None):
        raise WrongRevision(f"{script.revision}: oldest_version belongs to a contract revision, and only there")
    return Revision(script.revision, script.doc.splitlines()[0], phase, oldest, said.get("judged_safe", {}))


def config_of(folder: Path, **attributes: Any) -> Config:
    """Alembic's, without a file; `attributes` reach shared.kit.migrations.run_environment."""
    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.attributes.update(attributes)
    return config


def statements_of(folder: Path, step: Revision, *, before: str | None, dialect: Dialect) -> list[str]:
    """The SQL by which `step` follows the revision `before`, a statement each; no database is asked."""
    if dialect == "sqlite":
        return _tried_in_memory(folder, step, before)
    return list(_written_by_alembic(folder, before or "base", step.number))


@lru_cache(maxsize=100)
def _written_by_alembic(folder: Path, before: str, after: str) -> tuple[str, ...]:
    written = _Written()
    config = config_of(folder)
    config.output_buffer = written  # type: ignore[assignment]
    command.upgrade(config, f"{before}:{after}", sql=True)
    return tuple(written.statements)


class _Written:
    """Takes the statements that Alembic writes instead of running them, each with one call."""

    def __init__(self) -> None:
        self.statements: list[str] = []

    def write(self, text: str) -> None:
        if not _BOOKKEEPING.match(text.lstrip()):
            self.statements.append(text.strip().removesuffix(";"))

    def flush(self) -> None: ...


def _tried_in_memory(folder: Path, step: Revision, before: str | None) -> list[str]:
    """SQLite rebuilds tables that it cannot change, and looks at them for that: so into an empty database first."""
    engine = sa.create_engine("sqlite://", poolclass=StaticPool)
    written = _Written()
    with engine.connect() as connection:
        config = config_of(folder, connection=connection)
        if before is not None:
            command.upgrade(config, before)

        def keep(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            if not statement.lstrip().startswith(("SELECT", "PRAGMA")):
                written.write(statement)

        sa.event.listen(engine, "before_cursor_execute", keep)
        command.upgrade(config, step.number)
    engine.dispose()
    return written.statements
