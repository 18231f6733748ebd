"""Where and of what the figures were taken, without names of hosts or folders."""

from __future__ import annotations

import os
import platform
import re
import sqlite3
import subprocess
from pathlib import Path

from tests.infrastructure import kafka_server, postgres
from tests.infrastructure.missing import Missing

ROOT = Path(__file__).resolve().parents[2]


def machine() -> dict[str, str]:
    cpu, kibibytes = _found(r"model name\s*: (.+)", "/proc/cpuinfo"), _found(r"MemTotal:\s*(\d+)", "/proc/meminfo")
    return {
        "cpu": f"{os.cpu_count()} × {cpu}",
        "memory": f"{int(kibibytes) / 1024**2:.0f} GiB",
        "kernel": platform.release(),
        "Python": platform.python_version(),
        "PostgreSQL": _version_of_postgres(),
        "Kafka": kafka_server.version(),
        "SQLite": sqlite3.sqlite_version,
    }


def commit() -> str:
    """The short hash, with a plus when something was changed since."""
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ":!docs/performance")
    return _git("rev-parse", "--short", "HEAD") + ("+" if changed else "")


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=20)
    return done.stdout.strip()


def _found(pattern: str, path: str) -> str:
    found = re.search(pattern, Path(path).read_text())
    return found[1].strip() if found else "0"


def _version_of_postgres() -> str:
    try:
        return postgres.find_postgres().version
    except Missing:
        return "missing"
