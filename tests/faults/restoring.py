"""Backs up one service's database of an installation while it runs, and puts it back later as an operator does."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.faults.outside import LONGEST_COMMAND_SECONDS, mainstay
from tests.infrastructure.postgres import PostgresServer, find_postgres
from tests.system.installation import Installation


def back_up(company: Installation, services: Sequence[str]) -> None:
    """Into the folder beside the data, by the database's own online backup."""
    for service in services:
        url, copy = company.databases[service], _copy_of(company, service)
        if url.startswith("sqlite"):
            with closing(sqlite3.connect(_file(url))) as source, closing(sqlite3.connect(copy)) as target:
                source.backup(target)
        else:
            _postgres("pg_dump", "--format=custom", f"--file={copy}", f"--dbname={url}")


def restore(company: Installation, services: Sequence[str], postgres: PostgresServer | None) -> Mapping[str, Any]:
    """Stop the services' processes, put the databases back, run `mainstay restored`, start; what the command said.

    For the first service it is run twice, which does no harm.
    """
    processes = [
        process
        for name, process in company.processes.items()
        if name == "embedded" or set(name.split("-")) & set(services)
    ]
    for process in processes:
        process.kill()
    said = {}
    for service in services:
        _put_back(company, service, postgres)
        said[service] = mainstay(company, "restored", service)
    again = mainstay(company, "restored", services[0])
    assert again["forgotten"] == said[services[0]]["forgotten"]
    assert again["epoch"] > said[services[0]]["epoch"]
    for process in processes:
        process.start()
    return said


def _put_back(company: Installation, service: str, postgres: PostgresServer | None) -> None:
    url, copy = company.databases[service], _copy_of(company, service)
    if postgres is None:
        database = _file(url)
        for leftover in ("-wal", "-shm"):
            database.with_name(f"{database.name}{leftover}").unlink(missing_ok=True)
        database.write_bytes(copy.read_bytes())
        return
    name = urlsplit(url).path.lstrip("/")
    postgres.drop_database(name)
    postgres.create_database(name)
    _postgres("pg_restore", "--no-owner", f"--dbname={url}", str(copy))


def _postgres(program: str, *arguments: str) -> None:
    command = [str(find_postgres().folder / program), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_COMMAND_SECONDS, check=False)
    assert done.returncode == 0, f"{program}: {done.stderr[-2000:]}"


def _copy_of(company: Installation, service: str) -> Path:
    return company.data_dir.parent / f"{service}.backup"


def _file(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))
