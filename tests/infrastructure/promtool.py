"""Finds promtool, which judges Prometheus' rules and tries them."""

import re
import shutil
import subprocess

from tests.infrastructure.missing import Missing

HOW_TO_GET_IT = "apt-get install --no-install-recommends prometheus"


def find_promtool() -> str:
    """The path of promtool; raises Missing."""
    path = shutil.which("promtool")
    if path is None:
        raise Missing("no promtool on PATH", how_to_get_it=HOW_TO_GET_IT)
    return path


def describe() -> str:
    path = find_promtool()
    done = subprocess.run([path, "--version"], capture_output=True, text=True, check=False, timeout=20)
    version = re.search(r"version (\S+)", done.stdout + done.stderr)
    return f"{version[1] if version else 'some version'} ({path})"
