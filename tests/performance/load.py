"""Keeps one HTTP server busy over loopback for a short while: raw sockets, so that the server is the bottleneck."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from tests.performance.figures import percentile
from tests.performance.stage import Listening

CONNECTIONS = 32
FINISH_SECONDS = 15.0
_TICKS = os.sysconf("SC_CLK_TCK")


def request(method: str, path: str, *, token: str | None = None, body: bytes = b"", **headers: str) -> bytes:
    """The bytes of one request; header names are spelled with underscores."""
    told = {"host": "bench", **{name.replace("_", "-"): value for name, value in headers.items()}}
    if token is not None:
        told["authorization"] = f"Bearer {token}"
    if body or method == "POST":
        told = {"content-type": "application/json", **told, "content-length": str(len(body))}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in told.items()), "", ""]
    return "\r\n".join(lines).encode() + body


def cpu_seconds(pid: int) -> float:
    """What the process has used so far, user and system, all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


@dataclass
class Load:
    """`requests` is asked for the next request of any connection; every answer must be a 2xx."""

    server: Listening
    requests: Callable[[], Iterator[bytes]]
    seconds: float
    connections: int = CONNECTIONS

    async def __call__(self) -> Mapping[str, float]:
        """Requests per second, the server's CPU per request, and how long one took (µs, ms)."""
        tally = _Tally(self.requests(), asyncio.get_running_loop())
        loop = asyncio.get_running_loop()
        opened = [
            await loop.create_connection(lambda: _Connection(tally), "127.0.0.1", self.server.port)
            for _ in range(self.connections)
        ]
        cpu, began = cpu_seconds(self.server.pid), time.perf_counter()
        tally.open = True
        for _, connection in opened:
            connection.send()
        await asyncio.wait([tally.failed], timeout=self.seconds)
        tally.open = False
        await asyncio.wait_for(asyncio.gather(*(connection.idle.wait() for _, connection in opened)), FINISH_SECONDS)
        took, used = time.perf_counter() - began, cpu_seconds(self.server.pid) - cpu
        for transport, _ in opened:
            transport.close()
        if tally.failed.done():
            tally.failed.result()
        answered = len(tally.seconds)
        return {
            "per second": answered / took,
            "CPU µs": used / answered * 1e6,
            "p50 ms": percentile(tally.seconds, 50) * 1e3,
            "p99 ms": percentile(tally.seconds, 99) * 1e3,
        }


class WrongAnswer(Exception):
    """The server answered with something else than a success: its figures would mean nothing."""


@dataclass
class _Tally:
    requests: Iterator[bytes]
    loop: asyncio.AbstractEventLoop
    open: bool = False
    seconds: list[float] = field(default_factory=list)
    failed: asyncio.Future[None] = field(init=False)

    def __post_init__(self) -> None:
        self.failed = self.loop.create_future()

    def fail(self, what: str) -> None:
        self.open = False
        if not self.failed.done():
            self.failed.set_exception(WrongAnswer(what))


class _Connection(asyncio.Protocol):
    def __init__(self, tally: _Tally) -> None:
        self._tally = tally
        self._transport: asyncio.Transport
        self._began = 0.0
        self._received = b""
        self.idle = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def send(self) -> None:
        self._began = time.perf_counter()
        self._transport.write(next(self._tally.requests))

    def data_received(self, data: bytes) -> None:
        self._received += data
        head = self._received.find(b"\r\n\r\n")
        if head < 0 or len(self._received) < head + 4 + _length(self._received, head):
            return
        self._tally.seconds.append(time.perf_counter() - self._began)
        if self._received[9:10] != b"2":
            self._tally.fail(self._received.decode(errors="replace")[-500:])
        self._received = b""
        if self._tally.open:
            self.send()
        else:
            self.idle.set()

    def connection_lost(self, _error: Exception | None) -> None:
        if not self.idle.is_set():
            self._tally.fail("the server closed a connection")
            self.idle.set()


def _length(received: bytes, head: int) -> int:
    at = received.find(b"content-length: ", 0, head)
    return 0 if at < 0 else int(received[at + 16 : received.index(b"\r\n", at)])
