"""The promises of the simulation, asked of a real installation: its tables and its log as one SQLite archive."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa

from tests.faults.evidence import Evidence, metadata_of
from tests.simulation.agenda import SimulatedClock
from tests.simulation.promises import ALWAYS, AT_REST
from tests.simulation.told import Archive, Told
from tests.system.installation import SERVICES


def broken_promises(evidence: Evidence) -> Iterator[str]:
    """What must hold once nothing is under way, and does not, in words."""
    with tempfile.TemporaryDirectory(prefix="promised-") as folder:
        paths = {service: Path(folder) / f"{service}.db" for service in SERVICES}
        for service, path in paths.items():
            _copy(evidence, service, path)
        with closing(Archive(paths)) as archive:
            for envelope in {logged.envelope.id: logged.envelope for logged in evidence.log}.values():
                archive.keep(Told(envelope))
            everybody = {row["id"] for row in evidence.rows("contracts", "customers")}
            archive.look_at(everybody, SimulatedClock(evidence.now))
            for promise, query in (ALWAYS | AT_REST).items():
                for customer_id, detail in archive.rows(query):
                    yield f"{promise}: {detail} (customer {customer_id})"


def _copy(evidence: Evidence, service: str, path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        for metadata in metadata_of(service):
            metadata.create_all(connection)
            for table in metadata.sorted_tables:
                if rows := evidence.rows(service, table.name):
                    connection.execute(sa.insert(table), [dict(row) for row in rows])
    engine.dispose()
