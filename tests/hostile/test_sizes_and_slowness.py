"""A whole installation behind one port, and callers who send too much, too slowly, or nothing at all."""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from deploy.connections import HEADERS_WITHIN_SECONDS, LARGEST_HEAD_BYTES, UNWANTED_BODY_SECONDS
from tests.infrastructure.process import ServerProcess, folder_of_this_run, free_port
from tests.infrastructure.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
BODY_SECONDS = 2
PROBE_SECONDS = 1.0
MOST_GROWTH_MEBIBYTES = 64
MEBIBYTE = 1024 * 1024
SECURITY = {"x-content-type-options", "x-frame-options", "referrer-policy", "cache-control"}


@dataclass
class Seen:
    peak_mebibytes: float = 0.0


class Installation:
    """`mainstay run` on a free port, with a caller who may do what support may."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        environment = {
            "MAINSTAY_DATA_DIR": str(folder / "data"),
            "MAINSTAY_PORT": str(self.port),
            "MAINSTAY_MAILBOX_PORT": "0",
            "MAINSTAY_BODY_SECONDS": str(BODY_SECONDS),
            "MAINSTAY_RATE_LIMIT_PER_SECOND": "20",
            "MAINSTAY_RATE_LIMIT_BURST": "100",
            "PYTHONPATH": str(ROOT),
        }
        self.process = ServerProcess(
            "embedded", [sys.executable, "-m", "deploy.cli", "run"], folder, environment=environment
        )

    def start(self) -> None:
        self.process.start()
        wait_until(self.is_ready, what="readiness")

    def is_ready(self) -> bool:
        self.process.insist_on_running()
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"{self.url}/readyz", timeout=2).is_success
        return False

    def token(self, role: str, subject: str) -> str:
        form = {"grant_type": "client_credentials", "role": role, "subject": subject}
        return str(httpx.post(f"{self.url}/dev-issuer/token", data=form).json()["access_token"])

    def stop(self) -> None:
        self.process.stop()

    def mebibytes(self) -> float:
        return self.mebibytes_of(self.process.pid)

    @staticmethod
    def mebibytes_of(pid: int) -> float:
        status = Path(f"/proc/{pid}/status").read_text()
        [line] = [line for line in status.splitlines() if line.startswith("VmRSS")]
        return int(line.split()[1]) / 1024

    @contextmanager
    def stays_well(self) -> Iterator[Seen]:
        """Others are answered within a second meanwhile, and memory stays bounded."""
        before, seen, over = self.mebibytes(), Seen(), threading.Event()
        slowest, wrong = 0.0, []

        def probe() -> None:
            nonlocal slowest
            with httpx.Client(base_url=self.url, timeout=5) as client:
                while not over.wait(0.1):
                    started = time.monotonic()
                    status = client.get("/contracts/livez").status_code
                    slowest = max(slowest, time.monotonic() - started)
                    seen.peak_mebibytes = max(seen.peak_mebibytes, self.mebibytes())
                    if status != 200:
                        wrong.append(status)

        prober = threading.Thread(target=probe)
        prober.start()
        try:
            yield seen
        finally:
            over.set()
            prober.join()
        self.process.insist_on_running()
        assert not wrong
        assert slowest < PROBE_SECONDS, f"others waited {slowest:.2f} s"
        peak = seen.peak_mebibytes
        assert peak - before < MOST_GROWTH_MEBIBYTES, f"grew from {before:.0f} to {peak:.0f} MiB"

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)


@pytest.fixture(scope="module")
def installation() -> Iterator[Installation]:
    with folder_of_this_run("hostile") as folder:
        one = Installation(folder)
        one.start()
        yield one
        one.process.stop()


@pytest.fixture(scope="module")
def support(installation: Installation) -> dict[str, str]:
    return {"authorization": f"Bearer {installation.token('support', 'slow-support')}"}


def head(path: str, headers: dict[str, str], *, method: str = "POST") -> bytes:
    lines = {"host": "localhost", "idempotency-key": "k", "content-type": "application/json", **headers}
    first = f"{method} {path} HTTP/1.1"
    return "\r\n".join([first, *(f"{name}: {value}" for name, value in lines.items()), "", ""]).encode()


def answer_on(connection: socket.socket) -> bytes:
    """What arrives until the other side closes."""
    received = b""
    with contextlib.suppress(ConnectionError):
        while chunk := connection.recv(65_536):
            received += chunk
    return received


def status_in(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def _send_all(connection: socket.socket, piece: bytes, times: int) -> None:
    with contextlib.suppress(ConnectionError, TimeoutError):
        for _ in range(times):
            connection.sendall(piece)


@pytest.mark.parametrize("path", ["/contracts/v1/customers", "/billing/v1/payments", "/dev-issuer/token"])
@pytest.mark.parametrize("length", ["named", "chunked"])
def test_a_body_of_100_megabytes_costs_no_memory(
    installation: Installation, support: dict[str, str], path: str, length: str
) -> None:
    piece = b"&a=" + b"x" * MEBIBYTE
    framed = piece if length == "named" else b"%x\r\n%b\r\n" % (len(piece), piece)
    how = {"content-length": str(100 * len(piece))} if length == "named" else {"transfer-encoding": "chunked"}
    form = {"content-type": "application/x-www-form-urlencoded"} if path.startswith("/dev") else {}
    with installation.stays_well(), installation.connect() as connection:
        connection.sendall(head(path, {**support, **how, **form}))
        _send_all(connection, framed, 100)
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
        answer = answer_on(connection)
    if answer:  # A sender that was cut off may have lost it.
        assert status_in(answer) in ({413, 422} if path.startswith("/dev") else {413}), answer[:300]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"[" * 100_000 + b"]" * 100_000, id="100,000 levels"),
        pytest.param(json.dumps({"server_ids": [1] * 80_000}).encode(), id="many items"),
        pytest.param(b'{"a":' * 40_000 + b"1" + b"}" * 40_000, id="40,000 objects"),
        pytest.param(b'{"name": ' + b"9" * 250_000 + b"}", id="250,000 digits"),
        pytest.param(b"[" + b"1," * 99_999 + b"1]", id="100,000 items"),
    ],
)
def test_a_body_that_is_hard_to_read_is_refused_fast(
    installation: Installation, support: dict[str, str], body: bytes
) -> None:
    with installation.stays_well():
        headers = {**support, "idempotency-key": "hard", "content-type": "application/json"}
        answer = httpx.post(f"{installation.url}/contracts/v1/contracts", content=body, headers=headers, timeout=10)
    assert (answer.status_code, answer.json()["code"]) == (422, "MalformedRequest")


def test_a_body_that_comes_by_drops_is_given_up(installation: Installation, support: dict[str, str]) -> None:
    with installation.stays_well(), installation.connect() as connection:
        started = time.monotonic()
        connection.sendall(head("/contracts/v1/customers", {**support, "content-length": "1000"}))
        answer = _drip(connection, lambda: b" ")
        assert time.monotonic() - started < BODY_SECONDS + 2
    assert status_in(answer) == 408
    assert b"BodyTooSlow" in answer


def test_a_thousand_idle_connections_and_headers_by_drops_leave_room_for_others_and_are_given_up(
    installation: Installation,
) -> None:
    with installation.stays_well(), ExitStack() as stack:
        idle = [stack.enter_context(installation.connect()) for _ in range(1_000)]
        assert httpx.get(f"{installation.url}/contracts/v1/catalogue/plans").is_success
        slow = [stack.enter_context(installation.connect()) for _ in range(50)]
        for connection in slow:
            connection.sendall(b"GET /contracts/v1/catalogue/plans HTTP/1.1\r\nhost: localhost\r\nx-slow: ")
        started = time.monotonic()
        assert _drip(slow[0], lambda: b"x") == b""
        assert time.monotonic() - started < HEADERS_WITHIN_SECONDS + 2
        assert {answer_on(connection) for connection in slow[1:] + idle} == {b""}


def _drip(connection: socket.socket, piece: Callable[[], bytes]) -> bytes:
    """Send a piece every tenth of a second until the other side answers or closes; what it said."""
    connection.settimeout(0.1)
    received = b""
    with contextlib.suppress(ConnectionError):
        while not received.endswith(b"}"):
            try:
                chunk = connection.recv(65_536)
            except TimeoutError:
                connection.sendall(piece())
                continue
            if not chunk:
                break
            received += chunk
    return received


def test_endless_headers_are_cut_off(installation: Installation) -> None:
    for start, piece in [
        (b"GET / HTTP/1.1\r\nx-long: ", b"x" * 65_536),
        (b"GET / HTTP/1.1\r\n", b"x-many: 1\r\n" * 6_000),
        (b"GET /", b"x" * 65_536),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1;", b"x" * 65_536),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx-trailer: ", b"x" * 65_536),
    ]:
        with installation.stays_well(), installation.connect() as connection:
            connection.sendall(start)
            _send_all(connection, piece, 20 * LARGEST_HEAD_BYTES // len(piece))
            answer = answer_on(connection)
        assert not answer or status_in(answer) in {400, 404, 405, 431}, answer[:200]


def test_a_body_that_nobody_wants_is_not_waited_for(installation: Installation) -> None:
    with installation.stays_well(), installation.connect() as connection:
        connection.sendall(head("/contracts/v1/customers", {"content-length": "1000"}))
        started = time.monotonic()
        answer = answer_on(connection)
        assert time.monotonic() - started < UNWANTED_BODY_SECONDS + 2
    assert status_in(answer) == 401


def test_uploads_cut_in_the_middle_leave_nothing_behind(installation: Installation, support: dict[str, str]) -> None:
    with installation.stays_well():
        for number in range(50):
            with installation.connect() as connection:
                connection.sendall(head("/contracts/v1/customers", {**support, "content-length": "1000"}) + b'{"name"')
                if number % 2:
                    connection.shutdown(socket.SHUT_WR)
                    assert b" 201 " not in answer_on(connection)
    said = (installation.process.folder / "server.log").read_text()
    assert "Traceback" not in said, said[-3000:]
    listed = httpx.get(f"{installation.url}/contracts/v1/customers", headers=support).json()
    assert listed["items"] == []


def test_large_uploads_at_once_are_bounded(installation: Installation, support: dict[str, str]) -> None:
    """Every sender stops a byte before its end: what is held meanwhile is bounded, and given back."""
    piece, technician = b"x" * MEBIBYTE, installation.token("technician", "uploading")
    headers = {
        "authorization": f"Bearer {technician}",
        "content-type": "application/octet-stream",
        "content-length": str(5 * MEBIBYTE + 1),
    }
    path = "/backup/v1/servers/00000000-0000-7000-8000-000000000000/files/a"
    with installation.stays_well(), ExitStack() as stack:
        uploads = [stack.enter_context(installation.connect()) for _ in range(8)]
        for upload in uploads:
            upload.sendall(head(path, headers, method="PUT"))
            _send_all(upload, piece, 5)
    assert httpx.get(f"{installation.url}/readyz").is_success


def test_who_asks_too_often_is_told_when_to_come_back_and_others_are_not(installation: Installation) -> None:
    hasty, calm = (
        {"authorization": f"Bearer {installation.token('support', name)}"} for name in ("hasty-one", "calm-one")
    )
    with httpx.Client(base_url=installation.url) as client:
        answers = [client.get("/contracts/v1/customers", headers=hasty) for _ in range(250)]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert refused
        assert {answer.json()["code"] for answer in refused} == {"TooManyRequests"}
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
        assert client.get("/contracts/v1/customers", headers=calm).status_code == 200
        for path in ("/livez", "/readyz", "/contracts/livez", "/contracts/readyz"):
            assert {client.get(path, headers=hasty).status_code for _ in range(5)} == {200}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/livez"),
        ("GET", "/readyz"),
        ("GET", "/metrics"),
        ("GET", "/nowhere"),
        ("DELETE", "/"),
        ("GET", "/contracts/docs"),
        ("GET", "/contracts/openapi.json"),
        ("GET", "/contracts/v1/catalogue/plans"),
        ("GET", "/contracts/v1/customers"),
        ("PATCH", "/contracts/v1/customers"),
        ("GET", "/contracts/nowhere"),
        ("POST", "/dev-issuer/token"),
    ],
)
def test_every_answer_carries_the_security_headers_and_no_server_details(
    installation: Installation, method: str, path: str
) -> None:
    answer = httpx.request(method, f"{installation.url}{path}")
    assert answer.headers.keys() >= SECURITY, answer.headers
    assert all(len(answer.headers.get_list(name)) == 1 for name in SECURITY)
    assert "server" not in answer.headers
    assert "x-powered-by" not in answer.headers
    if answer.status_code >= 400:
        for word in ("uvicorn", "starlette", "fastapi", "Traceback", "sqlalchemy", str(ROOT)):
            assert word.lower() not in answer.text.lower(), word


def test_what_is_not_http_is_answered_like_any_refusal(installation: Installation) -> None:
    with installation.connect() as connection:
        connection.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        answer = answer_on(connection)
    assert status_in(answer) == 400
    first, _, body = answer.partition(b"\r\n\r\n")
    assert json.loads(body)["code"] == "MalformedRequest"
    assert all(name.encode() in first for name in SECURITY)
    assert b"uvicorn" not in answer.lower()
