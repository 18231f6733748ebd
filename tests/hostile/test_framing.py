"""Requests whose ends are in dispute, or that come packed or many at once, direct and through the front."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.hostile.test_sizes_and_slowness import BODY_SECONDS, MEBIBYTE, Installation, answer_on, head, status_in
from tests.infrastructure.process import ServerProcess, folder_of_this_run, free_port
from tests.infrastructure.waiting import wait_until

CUSTOMERS = "/contracts/v1/customers"
PIPELINED = 200
LARGEST_GROWTH = 1.2


class Behind(Installation):
    """contracts alone, behind the front of a split installation; the front's memory counts, and the API's too."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.api_port = free_port()
        common = {**(self.process.environment or {}), "MAINSTAY_PUBLIC_URL": self.url}
        inner = {**common, "MAINSTAY_PORT": str(self.api_port)}
        outer = {**common, "MAINSTAY_CONTRACTS_URL": f"http://127.0.0.1:{self.api_port}"}
        (folder / "api").mkdir()
        command = [sys.executable, "-m", "deploy.cli"]
        self.api = ServerProcess("api", [*command, "api", "contracts"], folder / "api", environment=inner)
        self.process = ServerProcess("front", [*command, "front"], folder, environment=outer)

    def start(self) -> None:
        self.api.start()
        super().start()

    def is_ready(self) -> bool:
        self.api.insist_on_running()
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"{self.url}/contracts/readyz", timeout=2).is_success
        return False

    def mebibytes(self) -> float:
        return super().mebibytes() + self.mebibytes_of(self.api.pid)

    def stop(self) -> None:
        super().stop()
        self.api.stop()


@pytest.fixture(scope="module", params=["direct", "behind the front"])
def met(request: pytest.FixtureRequest) -> Iterator[Installation]:
    with folder_of_this_run("framing") as folder:
        one = Installation(folder) if request.param == "direct" else Behind(folder)
        one.start()
        try:
            yield one
        finally:
            one.stop()


@pytest.fixture(scope="module")
def support(met: Installation) -> dict[str, str]:
    return {"authorization": f"Bearer {met.token('support', 'framing-support')}"}


LAST = b"GET /contracts/livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
SMUGGLED = b"GET /contracts/livez HTTP/1.1\r\nhost: localhost\r\n\r\n"
DISPUTED: dict[str, tuple[list[str], bytes]] = {
    "a length and chunks": (["content-length: 4", "transfer-encoding: chunked"], b"0\r\n\r\n" + SMUGGLED),
    "chunks and a length": (
        ["transfer-encoding: chunked", f"content-length: {5 + len(SMUGGLED)}"],
        b"0\r\n\r\n" + SMUGGLED,
    ),
    "two lengths": (["content-length: 2", f"content-length: {2 + len(SMUGGLED)}"], b"{}" + SMUGGLED),
    "two lengths in one": ([f"content-length: 2, {2 + len(SMUGGLED)}"], b"{}" + SMUGGLED),
    "a signed length": (["content-length: +2"], b"{}" + SMUGGLED),
    "a negative length": (["content-length: -2"], b"{}" + SMUGGLED),
    "a length of 2^64": (["content-length: 18446744073709551618"], b"{}" + SMUGGLED),
    "another length": (["content-length: 0x2"], b"{}" + SMUGGLED),
    "chunks that are none": (["transfer-encoding: xchunked"], b"0\r\n\r\n" + SMUGGLED),
    "chunks within": (["transfer-encoding: chunked, identity"], b"0\r\n\r\n" + SMUGGLED),
    "a space before the colon": (["transfer-encoding : chunked"], b"0\r\n\r\n" + SMUGGLED),
    "a folded header": (["x-folded: a", " transfer-encoding: chunked"], b"0\r\n\r\n" + SMUGGLED),
    "a size with a sign": (["transfer-encoding: chunked"], b"-1\r\n{}\r\n0\r\n\r\n" + SMUGGLED),
    "a size too large": (["transfer-encoding: chunked"], b"fffffffffffffffff\r\n{}\r\n0\r\n\r\n" + SMUGGLED),
    "a chunk longer than it said": (["transfer-encoding: chunked"], b"1\r\n{}\r\n0\r\n\r\n" + SMUGGLED),
    "NUL in a header": (["x-a: b\0c", "content-length: 2"], b"{}" + SMUGGLED),
    "a bare line feed": (["x-a: b\ntransfer-encoding: chunked"], b"0\r\n\r\n" + SMUGGLED),
}


@pytest.mark.parametrize("kind", DISPUTED)
def test_a_request_whose_end_is_in_dispute_is_refused_and_its_rest_is_no_request(
    met: Installation, support: dict[str, str], kind: str
) -> None:
    headers, rest = DISPUTED[kind]
    lines = [f"POST {CUSTOMERS} HTTP/1.1", "host: localhost", f"authorization: {support['authorization']}", *headers]
    with met.connect() as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + rest)
        answer = answer_on(connection)
    assert answer.count(b"HTTP/1.1 ") <= 1, answer
    if answer:
        assert status_in(answer) == 400, answer[:300]
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "MalformedRequest"


def test_pipelined_requests_are_answered_each_in_its_turn(met: Installation) -> None:
    one = b"GET /contracts/livez HTTP/1.1\r\nhost: localhost\r\n\r\n"
    other = b"GET /contracts/nowhere HTTP/1.1\r\nhost: localhost\r\n\r\n"
    with met.stays_well(), met.connect() as connection:
        connection.sendall((one + other) * (PIPELINED // 2) + LAST)
        answer = answer_on(connection)
    statuses = [int(each[:3]) for each in answer.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [200, 404] * (PIPELINED // 2) + [200]


@pytest.mark.parametrize("packed", ["small", "bomb", "no archive"])
def test_a_packed_body_is_refused_and_not_unpacked(met: Installation, support: dict[str, str], packed: str) -> None:
    plain = {"small": b"{}", "bomb": b" " * (100 * MEBIBYTE), "no archive": b""}[packed]
    content = gzip.compress(plain) if plain else b"\x1f\x8b no archive"
    headers = {**support, "content-encoding": "gzip", "content-type": "application/json", "idempotency-key": packed[0]}
    with met.stays_well():
        answer = httpx.post(f"{met.url}{CUSTOMERS}", content=content, headers=headers, timeout=20)
    assert (answer.status_code, answer.json()["code"]) == (422, "MalformedRequest")


def test_chunks_without_an_end_are_given_up(met: Installation, support: dict[str, str]) -> None:
    with met.stays_well(), met.connect() as connection:
        connection.sendall(head(CUSTOMERS, {**support, "transfer-encoding": "chunked"}))
        answer, started = b"", time.monotonic()
        connection.settimeout(0.1)
        with contextlib.suppress(ConnectionError):
            while not answer.endswith(b"}"):
                with contextlib.suppress(TimeoutError):
                    connection.sendall(b"1\r\n \r\n")
                    answer += connection.recv(65_536)
                assert time.monotonic() - started < BODY_SECONDS + 15
    assert status_in(answer) == 408
    assert b"BodyTooSlow" in answer


@pytest.mark.parametrize("length", ["named", "chunked"])
def test_a_body_of_100_megabytes_leaves_the_memory_as_it_was(
    met: Installation, support: dict[str, str], length: str
) -> None:
    piece = os.urandom(MEBIBYTE)
    framed = piece if length == "named" else b"%x\r\n%b\r\n" % (len(piece), piece)
    how = {"content-length": str(100 * len(piece))} if length == "named" else {"transfer-encoding": "chunked"}
    idle = met.mebibytes()
    with met.stays_well() as seen, met.connect() as connection:
        connection.sendall(head(CUSTOMERS, {**support, **how}))
        with contextlib.suppress(ConnectionError, TimeoutError):
            for _ in range(100):
                connection.sendall(framed)
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
        answer = answer_on(connection)
    assert seen.peak_mebibytes <= LARGEST_GROWTH * idle, f"{idle:.0f} became {seen.peak_mebibytes:.0f} MiB"
    if answer:  # A sender that was cut off may have lost it.
        assert status_in(answer) == 413, answer[:300]


def test_uploads_cut_in_the_middle_leave_nothing_behind_them(met: Installation, support: dict[str, str]) -> None:
    with met.stays_well():
        for number in range(20):
            with met.connect() as connection:
                connection.sendall(head(CUSTOMERS, {**support, "content-length": "1000"}) + b'{"name"')
                if number % 2:
                    connection.shutdown(socket.SHUT_WR)
                    assert b" 201 " not in answer_on(connection)
    assert httpx.get(f"{met.url}{CUSTOMERS}", headers=support).json()["items"] == []


def test_who_claims_another_address_is_counted_where_it_comes_from(met: Installation) -> None:
    """An address is believed from a proxy that we run, and from nobody else."""

    def is_refused() -> bool:
        claimed = (
            b"x-forwarded-for: 10.0.%d.1\r\nforwarded: for=10.0.%d.1\r\n" % (number, number) for number in range(200)
        )
        requests = [
            b"GET /contracts/v1/catalogue/plans HTTP/1.1\r\nhost: localhost\r\n%b\r\n" % each for each in claimed
        ]
        with met.connect() as connection:
            connection.sendall(b"".join(requests) + LAST)
            return b"HTTP/1.1 429 " in answer_on(connection)

    wait_until(is_refused, timeout=60, what="the end of the patience with an address")
