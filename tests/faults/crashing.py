"""`python -m tests.faults.crashing NAME[:nth] … -- <arguments of deploy.cli>`: a Mainstay that dies at a seam.

The first of the named seams that it passes kills it; `arm` and `died_at` are for the test that starts it.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Sequence

from tests.faults.seams import DEATH, install
from tests.infrastructure.process import ServerProcess

PLAIN = [sys.executable, "-m", "deploy.cli"]
CRASHING = [sys.executable, "-m", "tests.faults.crashing"]


def arm(process: ServerProcess, *seams: str) -> None:
    """Its next start is one that dies at one of `seams` (`NAME` or `NAME:nth`)."""
    process.command = [*CRASHING, *seams, "--", *_arguments(process)]


def disarm(process: ServerProcess) -> None:
    process.command = [*PLAIN, *_arguments(process)]


def died_at(process: ServerProcess) -> str | None:
    """The seam at which its last run died, or None when it runs or ended otherwise."""
    if process.ended_with != -signal.SIGKILL:
        return None
    last = (process.folder / "server.log").read_text(errors="replace").rstrip().rpartition("\n")[2]
    return last.removeprefix(DEATH) if last.startswith(DEATH) else None


def _arguments(process: ServerProcess) -> Sequence[str]:
    command = list(process.command)
    return command[command.index("--") + 1 :] if command[:3] == CRASHING else command[len(PLAIN) :]


def main(arguments: Sequence[str]) -> None:
    started = time.monotonic()
    if "--" not in arguments:
        raise SystemExit("usage: python -m tests.faults.crashing NAME[:nth] … -- <arguments of deploy.cli>")
    split = list(arguments).index("--")
    for seam in arguments[:split]:
        name, _, nth = seam.partition(":")
        install(name, int(nth or 1))
    from deploy.cli.main import main as mainstay

    sys.argv = ["mainstay", *arguments[split + 1 :]]
    mainstay(started)


if __name__ == "__main__":
    main(sys.argv[1:])
