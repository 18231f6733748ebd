"""Finds kustomize, by itself or inside kubectl, and renders a folder with it."""

import re
import shutil
import subprocess
from pathlib import Path

from tests.infrastructure.missing import Missing

BUILT_BY_HAND = "(devel)"
"""What a kustomize says that `go install` made; the one that .ci/run makes is recent enough."""
HOW_TO_GET_IT = "go install sigs.k8s.io/kustomize/kustomize/v5@v5.0.3, or kubectl 1.27 or later"
SECONDS = 60


def render(folder: Path) -> str:
    """The YAML documents of an overlay; raises Missing, and AssertionError with kustomize's own words."""
    done = subprocess.run([*_command(), str(folder)], capture_output=True, text=True, check=False, timeout=SECONDS)
    assert done.returncode == 0, done.stderr
    return done.stdout


def describe() -> str:
    command = _command()
    return f"{_version_of(command[0])} ({shutil.which(command[0])})"


def _command() -> list[str]:
    for program, word in (("kustomize", "build"), ("kubectl", "kustomize")):
        version = _version_of(program) if shutil.which(program) else ""
        if version == BUILT_BY_HAND or re.match(r"[5-9]\.|\d\d", version):
            return [program, word]
    raise Missing("no kustomize 5 or later on PATH", how_to_get_it=HOW_TO_GET_IT)


def _version_of(program: str) -> str:
    arguments = ["version", "--client"] if program == "kubectl" else ["version"]
    said = subprocess.run([program, *arguments], capture_output=True, text=True, check=False, timeout=20).stdout
    found = re.search(r"(?:^|Kustomize Version: )v?(\d+\.\d+\.\d+|\(devel\))$", said, re.MULTILINE)
    return found[1] if found else ""
