"""An installation as those see it who look after it: its command line, its log, its set-ups."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest

from shared.kit.bus.kafka_client import KafkaSettings
from shared.kit.bus.kafka_log import KafkaLog
from shared.kit.bus.log import EventLog
from shared.kit.bus.sql_log import SqlLog
from shared.kit.db import Database
from tests.system import installation
from tests.system.installation import Installation

LONGEST_COMMAND_SECONDS = 120


@contextmanager
def running(request: pytest.FixtureRequest, set_up: str, *, name: str) -> Iterator[Installation]:
    """`embedded`: one process on SQLite and the SQL log; `kafka`: many on PostgreSQL and Kafka."""
    if set_up == "embedded":
        with installation.embedded() as company:
            yield company
    else:
        postgres, kafka = (request.getfixturevalue(server) for server in ("postgres_server", "kafka_server"))
        with installation.split(postgres, kafka=kafka, replicas=1, name=name) as company:
            yield company


def mainstay(company: Installation, *arguments: str) -> Any:
    """The command line in the environment of the installation; what it says in JSON."""
    process = next(iter(company.processes.values()))
    done = subprocess.run(
        [sys.executable, "-m", "deploy.cli", *arguments, "--json"],
        cwd=company.data_dir.parent,
        env={**os.environ, **(process.environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LONGEST_COMMAND_SECONDS,
    )
    assert done.returncode == 0, f"mainstay {' '.join(arguments)}: {done.stdout[-1000:]} {done.stderr[-2000:]}"
    return json.loads(done.stdout)


@asynccontextmanager
async def log_of(company: Installation) -> AsyncIterator[EventLog]:
    """The event log, opened once more."""
    if company.kafka is not None:
        kafka = KafkaLog(KafkaSettings(bootstrap=company.kafka))
        yield kafka
        await kafka.close()
    else:
        database = Database(company.databases["log"])
        log = SqlLog(database)
        yield log
        await log.close()
        await database.close()
