"""A real PostgreSQL for tests: started in a temporary folder, or the one that MAINSTAY_TEST_POSTGRES_URL names."""

import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from tests.infrastructure.missing import Missing
from tests.infrastructure.process import Server, ServerProcess, as_user, folder_of_this_run, free_port
from tests.infrastructure.waiting import run_apart

URL_VARIABLE = "MAINSTAY_TEST_POSTGRES_URL"
OLDEST = 15
HOW_TO_GET_IT = f"apt-get install postgresql, or set {URL_VARIABLE} to a superuser's URL"
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "300",
    "shared_buffers": "64MB",
    # Tests kill processes, not power: what the kernel has taken survives that.
    "fsync": "off",
    # As the README asks of an operator: by default PostgreSQL's log repeats the row that a constraint refused.
    "log_error_verbosity": "terse",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


@dataclass(frozen=True)
class PostgresBinaries:
    folder: Path
    version: str


@dataclass
class PostgresServer(Server):
    """A superuser's URL, and the databases behind it."""

    url: str

    def url_for(self, database: str) -> str:
        """postgresql://user:password@127.0.0.1:port/database"""
        return urlsplit(self.url)._replace(path=f"/{database}").geturl()

    def create_database(self, name: str, template: str | None = None) -> None:
        """Create a database; nobody may be connected to the template meanwhile."""
        suffix = f" TEMPLATE {_quoted(template)}" if template else ""
        self.administer(f"CREATE DATABASE {_quoted(name)}{suffix}")

    def drop_database(self, name: str) -> None:
        """Drop a database if it is there, and whoever is connected to it."""
        self.administer(f"DROP DATABASE IF EXISTS {_quoted(name)} WITH (FORCE)")

    def administer(self, statement: str) -> None:
        """Run one statement as the superuser, outside any transaction."""
        run_apart(_execute(self.url, statement))

    def answers(self) -> bool:
        try:
            self.administer("SELECT 1")
        except (OSError, TimeoutError, asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError):
            return False
        return True


@contextmanager
def running_postgres(**settings: str) -> Iterator[PostgresServer]:
    """A server that answers, ours with `settings` over SETTINGS; raises Missing when the machine has none."""
    if url := os.environ.get(URL_VARIABLE):
        server = PostgresServer(url)
        server.wait_until_ready()
        yield server
        return
    binaries = find_postgres()
    user = unprivileged_user()
    with folder_of_this_run("postgres", user=user) as folder:
        server = _prepare(binaries, folder, user, settings)
        try:
            server.start()
            yield server
        finally:
            server.stop()


def find_postgres() -> PostgresBinaries:
    """The newest PostgreSQL with a server; raises Missing when there is none or it is older than 15."""
    found = [PostgresBinaries(folder, version) for folder in _folders() if (version := _version(folder))]
    found = [binaries for binaries in found if _major(binaries) >= OLDEST]
    if not found:
        raise Missing(f"no PostgreSQL {OLDEST} or later", how_to_get_it=HOW_TO_GET_IT)
    return max(found, key=_major)


def describe() -> str:
    if url := os.environ.get(URL_VARIABLE):
        return f"at {urlsplit(url).hostname}:{urlsplit(url).port}, named by {URL_VARIABLE}"
    binaries = find_postgres()
    return f"{binaries.version} ({binaries.folder})"


def _prepare(binaries: PostgresBinaries, folder: Path, user: str | None, settings: Mapping[str, str]) -> PostgresServer:
    password, port = secrets.token_hex(12), free_port()
    password_file, data = folder / "password", folder / "data"
    password_file.write_text(password)
    if user is not None:
        shutil.chown(password_file, user)
    _run_initdb(binaries, data, password_file, user)
    options = [f"--{name}={value}" for name, value in {**SETTINGS, **settings, "port": str(port)}.items()]
    process = ServerProcess(
        "postgres",
        [str(binaries.folder / "postgres"), "-D", str(data), *options],
        folder,
        user=user,
        stop_signal=signal.SIGINT,  # fast shutdown: does not wait for clients
        orphan_signal=signal.SIGQUIT,  # immediate shutdown: leaves no shared memory behind
    )
    return PostgresServer(f"postgresql://mainstay:{password}@127.0.0.1:{port}/postgres", process=process)


def _run_initdb(binaries: PostgresBinaries, data: Path, password_file: Path, user: str | None) -> None:
    options = ["--username=mainstay", f"--pwfile={password_file}", "--auth=scram-sha-256", "--no-sync"]
    subprocess.run(
        [str(binaries.folder / "initdb"), f"--pgdata={data}", "--encoding=UTF8", "--locale=C.UTF-8", *options],
        cwd=data.parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        check=True,
        timeout=120,
        **as_user(user),
    )


def unprivileged_user() -> str | None:
    """PostgreSQL refuses to run as root; None when we are somebody else already."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _folders() -> list[Path]:
    # A wrapper on PATH is often a link into the real folder, which alone has all the programs beside each other.
    on_path = [Path(program).resolve().parent for program in [shutil.which("postgres")] if program]
    return [*Path("/usr/lib/postgresql").glob("*/bin"), *on_path]


def _version(folder: Path) -> str | None:
    if not all((folder / program).exists() for program in ("postgres", "initdb")):
        return None
    command = [str(folder / "postgres"), "--version"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20).stdout
    version = re.search(r"\(PostgreSQL\) (\d+\S*)", answer)
    return version[1] if version else None


def _major(binaries: PostgresBinaries) -> int:
    return int(re.split(r"\D", binaries.version)[0])


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url, timeout=5)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
