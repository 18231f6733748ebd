"""`mainstay run` as a process: starts fast, says what is wrong in one line, survives, and stops."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.infrastructure.process import ServerProcess, folder_of_this_run, free_port
from tests.infrastructure.waiting import wait_until

ROOT = Path(__file__).resolve().parents[3]
COMMAND = [sys.executable, "-m", "deploy.cli", "run"]
MOST_MEBIBYTES = 200
READY_SECONDS = 5.0
STOP_SECONDS = 10.0


class Embedded:
    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://localhost:{self.port}"
        self.environment = {
            "MAINSTAY_DATA_DIR": str(folder / "data"),
            "MAINSTAY_PORT": str(self.port),
            "MAINSTAY_CLOCK": "virtual",
            "MAINSTAY_MAILBOX_PORT": "0",
            "PYTHONPATH": str(ROOT),
        }
        self.process = ServerProcess("embedded", COMMAND, folder, environment=self.environment)

    def start(self) -> None:
        self.process.start()
        wait_until(self.is_ready, what="readiness")

    def is_ready(self) -> bool:
        self.process.insist_on_running()
        try:
            return httpx.get(f"{self.url}/readyz", timeout=2).is_success
        except httpx.HTTPError:
            return False

    def said(self) -> str:
        return (self.process.folder / "server.log").read_text()

    def token(self, role: str) -> dict[str, str]:
        form = {"grant_type": "client_credentials", "role": role}
        token = httpx.post(f"{self.url}/dev-issuer/token", data=form).json()["access_token"]
        return {"authorization": f"Bearer {token}"}


@pytest.fixture(scope="module")
def embedded() -> Iterator[Embedded]:
    with folder_of_this_run("run") as folder:
        one = Embedded(folder)
        one.start()
        yield one
        one.process.stop()


def refused(changes: dict[str, str], base: dict[str, str]) -> tuple[int, list[str]]:
    """Exit code and complaints of a second start."""
    done = subprocess.run(
        COMMAND,
        env={"PATH": "/usr/bin:/bin", **base, **changes},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return done.returncode, done.stderr.splitlines()


def test_it_says_once_where_it_is_ready(embedded: Embedded) -> None:
    line = next(line for line in embedded.said().splitlines() if "is ready" in line)
    assert embedded.url in line
    assert float(line.split(" after ")[1].split(" s")[0]) < READY_SECONDS


def test_it_is_small_when_idle(embedded: Embedded) -> None:
    status = Path(f"/proc/{embedded.process.pid}/status").read_text()
    kibibytes = int(status.split("VmRSS:")[1].split()[0])
    assert kibibytes < MOST_MEBIBYTES * 1024


@pytest.mark.parametrize("service", ["contracts", "billing", "backup", "notify"])
def test_every_service_answers_below_its_own_prefix(embedded: Embedded, service: str) -> None:
    assert httpx.get(f"{embedded.url}/{service}/openapi.json").json()["servers"] == [{"url": f"/{service}"}]
    assert httpx.get(f"{embedded.url}/{service}/docs").headers["content-type"].startswith("text/html")
    assert httpx.get(f"{embedded.url}/{service}/v1/decisions").status_code == 401
    answer = httpx.get(f"{embedded.url}/{service}/v1/decisions", headers=embedded.token("support"))
    assert answer.json() == {"items": [], "next_cursor": None}


def test_a_second_one_on_the_same_folder_is_refused(embedded: Embedded) -> None:
    code, said = refused({"MAINSTAY_PORT": str(free_port())}, embedded.environment)
    assert code == 3
    folder = embedded.environment["MAINSTAY_DATA_DIR"]
    assert said == [f"Another Mainstay (process {embedded.process.pid}) is using the data folder {folder}."]


def test_a_port_that_is_taken_is_one_line(embedded: Embedded, tmp_path: Path) -> None:
    code, said = refused({"MAINSTAY_DATA_DIR": str(tmp_path)}, embedded.environment)
    assert (code, said) == (3, [f"Cannot listen on 127.0.0.1:{embedded.port}: address already in use."])


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        ({"MAINSTAY_PORT": "x", "MAINSTAY_NOTIFY_SMTP_PORT": "0"}, ["MAINSTAY_PORT: ", "MAINSTAY_NOTIFY_SMTP_PORT: "]),
        ({"MAINSTAY_BILLING_SELLER_COUNTRY": "XX"}, ["MAINSTAY_BILLING_SELLER_COUNTRY: "]),
        ({"MAINSTAY_BACKUP_DATABASE_URL": "secret"}, ["MAINSTAY_BACKUP_DATABASE_URL: is not a database URL"]),
        ({"MAINSTAY_OIDC_ALGORITHMS": "RS256"}, ["MAINSTAY_OIDC_ALGORITHMS: "]),
        ({"MAINSTAY_PROT": "1"}, ["MAINSTAY_PROT: is not a setting; did you mean MAINSTAY_PORT?"]),
    ],
    ids=str,
)
def test_wrong_settings_are_a_line_each(
    embedded: Embedded, tmp_path: Path, changes: dict[str, str], lines: list[str]
) -> None:
    base = embedded.environment | {"MAINSTAY_DATA_DIR": str(tmp_path), "MAINSTAY_PORT": str(free_port())}
    code, said = refused(changes, base)
    assert code == 2
    assert len(said) == len(lines), said
    assert all(line.startswith(start) for line, start in zip(said, lines, strict=True)), said


def test_a_database_that_is_away_is_one_line_without_its_password(embedded: Embedded, tmp_path: Path) -> None:
    base = embedded.environment | {
        "MAINSTAY_DATA_DIR": str(tmp_path),
        "MAINSTAY_PORT": str(free_port()),
        "MAINSTAY_CONTRACTS_DATABASE_URL": f"postgresql://me:secret@127.0.0.1:{free_port()}/x",
    }
    code, said = refused({}, base)
    assert code == 3
    assert said[-1].startswith("The database of contracts does not answer (postgresql://me:***@")


def test_what_was_answered_survives_a_kill(embedded: Embedded) -> None:
    headers = embedded.token("support") | {"idempotency-key": "survivor"}
    body = {"name": "Survivor", "language": "en", "zone": "Europe/Berlin", "channel": "api"}
    made = httpx.post(f"{embedded.url}/contracts/v1/customers", json=body, headers=headers)
    assert made.status_code == 201, made.text
    embedded.process.kill()
    embedded.start()
    again = httpx.get(f"{embedded.url}/contracts/v1/customers/{made.json()['id']}", headers=embedded.token("support"))
    assert again.json() == made.json()


def test_it_stops_when_told_also_while_somebody_waits(embedded: Embedded) -> None:
    with httpx.Client(timeout=30) as client:
        client.get(f"{embedded.url}/livez")
        began = time.monotonic()
        embedded.process.stop(timeout=STOP_SECONDS)
        assert time.monotonic() - began < STOP_SECONDS
    assert embedded.process._popen is not None
    assert embedded.process._popen.returncode == 0, signal.Signals(-embedded.process._popen.returncode)
    embedded.start()
