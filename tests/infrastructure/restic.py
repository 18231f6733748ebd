"""Finds restic, the program that makes the backups."""

import re
import shutil
import subprocess
from dataclasses import dataclass

from tests.infrastructure.missing import Missing

OLDEST = (0, 14)
HOW_TO_GET_IT = "apt-get install restic"


@dataclass(frozen=True)
class ResticBinary:
    """The program's path and version, such as 0.14.0."""

    path: str
    version: str


def find_restic() -> ResticBinary:
    """The restic on PATH; raises Missing when there is none or it is older than 0.14."""
    path = shutil.which("restic")
    if path is None:
        raise Missing("no restic on PATH", how_to_get_it=HOW_TO_GET_IT)
    answer = subprocess.run([path, "version"], capture_output=True, text=True, check=False, timeout=20).stdout
    version = re.match(r"restic (\d+)\.(\d+)\S*", answer)
    if version is None or (int(version[1]), int(version[2])) < OLDEST:
        raise Missing(f"{path} is not restic 0.14 or later", how_to_get_it=HOW_TO_GET_IT)
    return ResticBinary(path, version[0].removeprefix("restic "))


def describe() -> str:
    restic = find_restic()
    return f"{restic.version} ({restic.path})"
