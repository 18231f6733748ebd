"""Which tables of a service move, and what of them belongs to one place only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, cast

import sqlalchemy as sa

from deploy.moving.lines import line_of
from shared.kit import migrations
from shared.kit.bus.tables import consumer_offsets, parked_events, relay_members, relay_shards
from shared.kit.tables import running_processes, timers, version_floor

STAYS = {relay_members.name, relay_shards.name, running_processes.name, version_floor.name, consumer_offsets.name}
"""Who works on what at the moment, what the tables themselves demand, and offsets of a log that is another later."""

EMPTIED = {timers.name: {"leased_by", "leased_until"}}
"""Columns that name a worker: nobody has the timer afterwards."""

PLACES = {parked_events.name: {"partition", "offset"}}
"""Columns that say where on the log a record was: they are written anew and not part of the hash."""

IN_ORDER = {
    "audit_heads": ("chain",),
    "audit_rows": ("chain", "seq"),
    "consumer_positions": ("topic", "key"),
    "streams": ("topic", "key"),
    parked_events.name: ("consumer", "topic", "key", "epoch", "seq", "offset"),
}
"""Read in this order (of bytes), for who checks them one after the other."""


def tables_of(service: str) -> list[sa.Table]:
    """Those that move, each behind the ones that it refers to."""
    own: Any = import_module(f"services.{service}.db.tables")
    whole = migrations.merged(cast(sa.MetaData, own.metadata))
    return [table for table in whole.sorted_tables if table.name not in STAYS]


def hashed_line(table: str, columns: Sequence[str]) -> Callable[[Sequence[Any], bytes], bytes]:
    """Given a row and its line, what of it is hashed: the line without the columns in PLACES."""
    places = PLACES.get(table, set())
    if not places:
        return lambda _row, line: line
    kept = [index for index, name in enumerate(columns) if name not in places]
    return lambda row, _line: line_of([row[index] for index in kept]).encode()
