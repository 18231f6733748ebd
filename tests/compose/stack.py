"""One installation under Docker Compose, brought up by the product's own script, whose containers can be killed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

from deploy.services import SERVICES
from shared.kit.version import VERSION
from tests.infrastructure.process import free_port
from tests.infrastructure.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "deploy" / "compose" / "mainstay.sh"
PARTS = (
    *(f"{service}-{kind}" for service in SERVICES for kind in ("api", "worker")),
    *("edge", "postgres", "rest-server", "rest-server-deleting"),
)
"""What runs all the time in either set-up, besides its brokers."""
UP_SECONDS = 1200
HEALTHY_SECONDS = 420
LAST_LINES = 60


@dataclass
class Stack:
    """`port` is where the edge listens on this machine, `secrets` the folder of passwords and certificates."""

    overlay: str
    port: int
    secrets: Path
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def project(self) -> str:
        return f"mainstay-test-{self.overlay}"

    def script(self, *arguments: str, timeout: float = 300) -> str:
        """What mainstay.sh says; raises AssertionError with its end when it fails."""
        overlay = ["--production"] if self.overlay == "production" else []
        return _said([str(SCRIPT), *overlay, *arguments], self._environment(), timeout)

    def up(self) -> None:
        self.script("up", timeout=UP_SECONDS)

    def down(self) -> None:
        self.script("down", "--volumes", "--timeout", "5", timeout=UP_SECONDS)

    def execute(self, part: str, *command: str) -> str:
        return self.script("exec", "-T", part, *command)

    def verify_audit_trails(self) -> None:
        """Raises AssertionError when a chain of any service does not hold."""
        for service in SERVICES:
            self.execute(f"{service}-worker", "mainstay", "audit", "verify", service)

    def kill(self, part: str) -> None:
        """kill -9 of everything in the container."""
        docker("kill", self._container(part))

    def start(self, part: str) -> None:
        docker("start", self._container(part))

    def restart(self, part: str) -> None:
        """As an operator does: told to stop, and started when it has."""
        docker("restart", self._container(part))

    def wait_until_healthy(self, *parts: str) -> None:
        containers = {part: self._container(part) for part in parts}

        def healthy() -> bool:
            states = docker("inspect", "--format", "{{.State.Health.Status}}", *containers.values()).split()
            return all(state == "healthy" for state in states)

        wait_until(healthy, timeout=HEALTHY_SECONDS, what=f"health of {', '.join(parts)}")

    def complaints(self) -> str:
        """The last lines of the logs that are no requests served."""
        lines = self.script("logs", "--no-color", "--tail", "400").splitlines()
        return "\n".join([line for line in lines if '"level": "info"' not in line][-LAST_LINES:])

    def _container(self, part: str) -> str:
        wanted = (f"com.docker.compose.project={self.project}", f"com.docker.compose.service={part}")
        labels = [word for label in wanted for word in ("--filter", f"label={label}")]
        found = docker("ps", "--all", "--quiet", *labels, "--filter", "label=com.docker.compose.oneoff=False").split()
        assert len(found) == 1, f"{len(found)} containers of {part}"
        return found[0]

    def _environment(self) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith("MAINSTAY_")}
        return {
            **own,
            "COMPOSE_PROJECT_NAME": self.project,
            "DEPLOY_SECRETS": str(self.secrets),
            "MAINSTAY_PORT": str(self.port),
            "MAINSTAY_KAFKA_PARTITIONS": "4",
            **self.settings,
        }


@contextmanager
def brought_up(
    overlay: str,
    settings: dict[str, str] | None = None,
    *,
    secrets: dict[str, str] | None = None,
    keep: bool = False,
) -> Iterator[Stack]:
    """A new installation, which is gone with all its data afterwards unless `keep`.

    `secrets`, by file, are there before the script makes up the others.
    """
    stack = Stack(overlay, free_port(), Path(mkdtemp(prefix=f"mainstay-{overlay}-")), settings or {})
    for name, content in (secrets or {}).items():
        (stack.secrets / name).write_text(content)
        (stack.secrets / name).chmod(0o444)
    stack.down()
    try:
        stack.up()
        yield stack
    except BaseException:
        print(stack.complaints(), flush=True)
        raise
    finally:
        if not keep:
            stack.down()
            rmtree(stack.secrets)


def sizes_over_the_base() -> dict[str, float]:
    """Megabytes that each image adds to the one it is made from."""

    def size(image: str) -> int:
        return int(docker("image", "inspect", "--format", "{{.Size}}", image))

    base = size("python:3.13-slim")
    return {name: (size(f"{name}:{VERSION}") - base) / 1e6 for name in ("mainstay", "mainstay-backup", "mainstay-edge")}


def docker(*arguments: str) -> str:
    return _said(["docker", *arguments], dict(os.environ), 120)


def _said(command: list[str], environment: dict[str, str], timeout: float) -> str:
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout
    )
    said = f"{done.stdout[-3000:]}{done.stderr[-3000:]}"
    assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}:\n{said}"
    return done.stdout
