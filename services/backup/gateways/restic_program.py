"""Runs the restic program with one repository's settings; what it says is bounded and scrubbed."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.backup.gateways.restic import DeletionRefused, NoRepository, NotInSnapshot, ResticFailed, WrongPassword
from shared.kit.tracing import step

SHORT_SECONDS = 600
CHUNK = 65_536
LONGEST_LINE = 16_777_216
ERROR_BYTES = 2_000
NO_REPOSITORY = 10  # restic 0.17 and later; earlier versions say it in words only
_WRONG_PASSWORD = 12  # from 0.17.1
_REFUSED = re.compile(rb"not removed, server response: 40[135]|RemoveObject: Access ?Denied")
"""Of a place that takes additions only; the program itself would try again for a quarter of an hour."""


@dataclass
class Session:
    """The program with one repository's settings."""

    program: str
    options: list[str]
    environment: dict[str, str]
    lock: int | None
    local: Path | None
    passwords: Callable[[], list[str]]
    """All that may open the repository by now: the key may be replaced while the program runs, or between two runs."""

    async def snapshots(self, *filters: str) -> list[dict[str, Any]]:
        """Oldest first; none when there is no repository."""
        found: list[dict[str, Any]] = []
        try:
            await self.run("snapshots", "--json", *filters, sink=lines(found.append))
        except NoRepository:
            return []
        return sorted(found, key=lambda snapshot: str(snapshot["time"]))

    async def unlock(self) -> None:
        """Remove locks that a killed process left; restic itself tells them from living ones."""
        if self.local is None or any((self.local / "locks").glob("*")):
            await self.run("unlock")

    async def run(
        self,
        *arguments: str,
        folder: Path | None = None,
        sink: Callable[[bytes], object] | None = None,
        into: int | None = None,
        seconds: float = SHORT_SECONDS,
        accept: set[int] | None = None,
    ) -> int:
        """The exit code if it is accepted (0); raises ResticFailed. Killed with its children on cancellation."""
        tried = {self.environment["RESTIC_PASSWORD"]}
        while True:
            with step(f"restic {arguments[0]}", "CLIENT", {"process.executable.name": "restic"}):
                code, complaint = await self._ran(*arguments, folder=folder, sink=sink, into=into, seconds=seconds)
            untried = (
                [word for word in self.passwords() if word not in tried] if _is_locked_out(code, complaint) else []
            )
            if not untried:
                break
            # Before it has the key the program says nothing on stdout, so it may simply run again.
            self.environment["RESTIC_PASSWORD"] = untried[0]
            tried.add(untried[0])
        if code not in (accept or {0}):
            raise self._error(arguments[0], code, complaint)
        return code

    async def _ran(
        self,
        *arguments: str,
        folder: Path | None,
        sink: Callable[[bytes], object] | None,
        into: int | None,
        seconds: float,
    ) -> tuple[int, str]:
        """Exit code and the end of what it complained of."""
        try:
            process = await asyncio.create_subprocess_exec(
                self.program,
                *arguments,
                *self.options,
                cwd=folder,
                env=self.environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE if into is None else into,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
                pass_fds=() if self.lock is None else (self.lock,),
            )
        except OSError as error:
            raise ResticFailed(f"{arguments[0]}: {type(error).__name__}") from error
        try:
            async with asyncio.timeout(seconds):
                _, complaint = await asyncio.gather(_drain(process.stdout, sink), _tail(process.stderr))
                code = await process.wait()
        except TimeoutError:
            raise ResticFailed(f"{arguments[0]} took longer than {seconds:.0f} s") from None
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        return code, complaint

    def _error(self, verb: str, code: int, complaint: str) -> Exception:
        if verb == "dump" and "not found in snapshot" in complaint:
            return NotInSnapshot(verb)
        kind = ResticFailed
        if code == NO_REPOSITORY or "Is there a repository at the following location" in complaint:
            kind = NoRepository
        elif _is_locked_out(code, complaint):
            kind = WrongPassword
        for secret in (self.environment["RESTIC_PASSWORD"], self.environment["RESTIC_REPOSITORY"]):
            complaint = complaint.replace(secret, "…")
        complaint = re.sub(r"//[^/@\s]*@", "//…@", complaint)
        return kind(f"{verb} ended with {code}: {complaint.strip()[-300:]}")


def _is_locked_out(code: int, complaint: str) -> bool:
    return code == _WRONG_PASSWORD or (code == 1 and "wrong password or no key found" in complaint)


def clean_environment() -> dict[str, str]:
    """Ours without our own secrets; credentials of storage providers pass through to the program."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("MAINSTAY_") and (not name.startswith("RESTIC_") or name.startswith("RESTIC_REST_"))
    }


async def _drain(stream: asyncio.StreamReader | None, sink: Callable[[bytes], object] | None) -> None:
    while stream is not None and (chunk := await stream.read(CHUNK)):
        if sink is not None:
            sink(chunk)


async def _tail(stream: asyncio.StreamReader | None) -> str:
    """Raises DeletionRefused as soon as the program complains of that."""
    assert stream is not None
    kept = b""
    while chunk := await stream.read(CHUNK):
        kept = (kept + chunk)[-ERROR_BYTES:]
        if _REFUSED.search(kept):
            raise DeletionRefused("nothing may be deleted there")
    return kept.decode(errors="replace")


def lines(take: Callable[[dict[str, Any]], object]) -> Callable[[bytes], None]:
    """Hands on each JSON object of a stream of lines, or of the one list; what is no JSON is dropped."""
    rest = b""

    def feed(chunk: bytes) -> None:
        nonlocal rest
        *whole, rest = (rest + chunk).split(b"\n")
        if len(rest) > LONGEST_LINE:
            rest = b""
        for line in whole:
            with suppress(ValueError):
                parsed = json.loads(line)
                for item in parsed if isinstance(parsed, list) else [parsed]:
                    take(item)

    return feed
