"""`python -m tests.faults.crashing NAME[:nth][=stop] … -- <arguments of deploy.cli>`: a Mainstay that dies at a seam.

The first of the named seams that it passes kills it, or freezes it; the functions are for the test that starts it.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.faults.seams import DEATH, FREEZE, install
from tests.infrastructure.process import ServerProcess

PLAIN = [sys.executable, "-m", "deploy.cli"]
CRASHING = [sys.executable, "-m", "tests.faults.crashing"]


def arm(process: ServerProcess, *seams: str) -> None:
    """Its next start is one that dies at one of `seams`: `NAME`, `NAME:nth`, and with `=stop` it freezes there."""
    process.command = [*CRASHING, *seams, "--", *_arguments(process)]


def disarm(process: ServerProcess) -> None:
    process.command = [*PLAIN, *_arguments(process)]


def died_at(process: ServerProcess) -> str | None:
    """The seam at which its last run died, or None when it runs or ended otherwise."""
    return _last_word(process, DEATH) if process.ended_with == -signal.SIGKILL else None


def frozen_at(process: ServerProcess) -> str | None:
    """The seam at which it stands still, or None when it does not."""
    state = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]
    return _last_word(process, FREEZE) if state == "T" else None


def _last_word(process: ServerProcess, word: str) -> str | None:
    last = (process.folder / "server.log").read_text(errors="replace").rstrip().rpartition("\n")[2]
    return last.removeprefix(word) if last.startswith(word) else None


def _arguments(process: ServerProcess) -> Sequence[str]:
    command = list(process.command)
    return command[command.index("--") + 1 :] if command[:3] == CRASHING else command[len(PLAIN) :]


def main(arguments: Sequence[str]) -> None:
    started = time.monotonic()
    if "--" not in arguments:
        raise SystemExit("usage: python -m tests.faults.crashing NAME[:nth][=stop] … -- <arguments of deploy.cli>")
    split = list(arguments).index("--")
    for seam in arguments[:split]:
        place, _, what = seam.partition("=")
        name, _, nth = place.partition(":")
        install(name, int(nth or 1), freeze=what == "stop")
    from deploy.cli.main import main as mainstay

    sys.argv = ["mainstay", *arguments[split + 1 :]]
    mainstay(started)


if __name__ == "__main__":
    main(sys.argv[1:])
