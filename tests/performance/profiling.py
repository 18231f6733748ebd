"""Where a row's time goes in our code, by cProfile: in the servers that it asked, else in this process."""

from __future__ import annotations

import cProfile
import pstats
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LINES = 30
FILE = "cpu.profile"
"""What a server that is told this name writes in its folder when it ends."""


@contextmanager
def profiled_here() -> Iterator[pstats.Stats]:
    """This process, whose statistics are there at the end."""
    profile = cProfile.Profile()
    stats = pstats.Stats()
    with profile:
        yield stats
    stats.add(profile)


def show(folder: Path, here: pstats.Stats) -> None:
    """Print where the servers under `folder` spent their time, or, where no server ran, this process."""
    written = sorted(folder.glob(f"*/{FILE}"))
    for stats in [pstats.Stats(str(file)) for file in written] or [here]:
        stats.sort_stats("tottime").print_stats(LINES)
