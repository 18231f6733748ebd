"""A server process that belongs to this test run: it dies with the run, and may be killed, frozen, restarted."""

import contextlib
import ctypes
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.infrastructure import canaries
from tests.infrastructure.waiting import wait_until

PR_SET_PDEATHSIG = 1
FOLDER_PREFIX = "mainstay-test-"
# Below Linux's ephemeral range: nobody takes the port while the server is down for a restart, and a client that
# retries against a free ephemeral port would sooner or later connect to itself.
PORTS = range(20_000, 32_000)

# The kernel sends the parent-death signal when the *thread* that forked ends; this one lives as long as the run.
_spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


class ServerDied(RuntimeError):
    """The server ended by itself; the message has the end of its log."""


class ServerIsNotOurs(RuntimeError):
    """A server named by the environment may be used, but not stopped or restarted."""


@dataclass
class ServerProcess:
    """One command that runs in `folder`, with its log in `folder`/server.log."""

    name: str
    command: Sequence[str]
    folder: Path
    user: str | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    orphan_signal: signal.Signals = signal.SIGKILL
    environment: Mapping[str, str] | None = None
    """Added to the run's own environment."""
    _popen: subprocess.Popen[Any] | None = field(default=None, init=False, repr=False)

    @property
    def pid(self) -> int:
        if self._popen is None:
            raise ServerDied(f"{self.name} was not started")
        return self._popen.pid

    @property
    def is_running(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    @property
    def ended_with(self) -> int | None:
        """Its exit code, negative for the signal that killed it; None while it runs or was never started."""
        return self._popen.poll() if self._popen is not None else None

    def start(self) -> None:
        self._popen = _spawner.submit(self._spawn).result()

    def stop(self, *, timeout: float = 20.0) -> None:
        """Ask it to end; kill it when it has not after `timeout` seconds."""
        if self._popen is None or not self.is_running:
            return
        self.thaw()
        self._popen.send_signal(self.stop_signal)
        try:
            self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it and its children as a power cut would, and wait until all are gone."""
        if self._popen is None or not self.is_running:
            return
        family = self._family()
        _signal_all(family, signal.SIGKILL)
        self._popen.wait()
        wait_until(lambda: not any(map(is_alive, family)), timeout=10, what=f"the end of {self.name}'s children")

    def freeze(self) -> None:
        """Stop it and its children in their tracks: connections stay open and nothing answers."""
        _signal_all(self._family(), signal.SIGSTOP)

    def thaw(self) -> None:
        _signal_all(self._family(), signal.SIGCONT)

    def insist_on_running(self) -> None:
        """Raise ServerDied, with the end of the log, unless it is running."""
        if not self.is_running:
            log = (self.folder / "server.log").read_text(errors="replace")
            raise ServerDied(f"{self.name} ended by itself:\n{log[-3000:]}")

    def _spawn(self) -> subprocess.Popen[Any]:
        with (self.folder / "server.log").open("ab") as log:
            return subprocess.Popen(
                self.command,
                cwd=self.folder,
                env={**os.environ, **(self.environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with(os.getpid(), self.orphan_signal),
                **as_user(self.user),
            )

    def _family(self) -> list[int]:
        return [self.pid, *_descendants(self.pid)] if self.is_running else []


@dataclass
class Server(ABC):
    """A server under test: ours to stop and restart, or, with no process, one that the environment names."""

    process: ServerProcess | None = field(default=None, kw_only=True)

    @abstractmethod
    def answers(self) -> bool:
        """Whether it does real work now."""

    @property
    def pid(self) -> int:
        return self._ours.pid

    def start(self) -> None:
        """Start it, unless it runs, and return when it answers."""
        if not self._ours.is_running:
            self._ours.start()
        self.wait_until_ready()

    def stop(self) -> None:
        """Stop it in good order; `start` brings it back with its data. Does nothing to a server that is not ours."""
        if self.process is not None:
            self.process.stop()

    def restart(self) -> None:
        """Stop it, if it still runs, and start it with the same data and address."""
        self._ours.stop()
        self.start()

    def kill(self) -> None:
        self._ours.kill()

    def freeze(self) -> None:
        self._ours.freeze()

    def thaw(self) -> None:
        self._ours.thaw()

    def wait_until_ready(self, *, timeout: float = 60.0) -> None:
        def ready() -> bool:
            if self.process is not None:
                self.process.insist_on_running()
            return self.answers()

        wait_until(ready, timeout=timeout, what=f"an answer from {type(self).__name__}")

    @property
    def _ours(self) -> ServerProcess:
        if self.process is None:
            raise ServerIsNotOurs(f"this {type(self).__name__} was named by the environment")
        return self.process


@contextmanager
def folder_of_this_run(name: str, *, user: str | None = None) -> Iterator[Path]:
    """A temporary folder for one server, owned by `user`; also clears what killed runs left behind.

    Raises Told at the end when what the server wrote for others to read holds personal data or a secret.
    """
    _clear_after_killed_runs()
    folder = Path(tempfile.mkdtemp(prefix=f"{FOLDER_PREFIX}{os.getpid()}-{name}-"))
    if user is not None:
        shutil.chown(folder, user)
    try:
        yield folder
        canaries.insist_on_silence_in(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on."""
    for port in random.sample(PORTS, 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError(f"no free port from {PORTS.start} to {PORTS.stop}")


def accepts_connections(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def is_alive(pid: int) -> bool:
    """Whether the process exists and is more than a zombie."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except ProcessLookupError:
        return False
    except FileNotFoundError:
        return sys.platform != "linux"
    except PermissionError:
        return True


def as_user(user: str | None) -> dict[str, Any]:
    """Arguments of Popen that make the child `user`; none to stay who we are."""
    if user is None:
        return {}
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}


def _die_with(parent: int, signal_number: signal.Signals) -> Callable[[], None] | None:
    if _libc is None:
        return None
    prctl = _libc.prctl

    def in_child() -> None:
        prctl(PR_SET_PDEATHSIG, int(signal_number))
        if os.getppid() != parent:
            os._exit(1)

    return in_child


def _clear_after_killed_runs() -> None:
    """Frozen or daemonised servers survive the death signal: their working directory tells whose they were."""
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDER_PREFIX}*"):
        owner = folder.name.removeprefix(FOLDER_PREFIX).split("-")[0]
        if owner.isdigit() and not is_alive(int(owner)):
            _signal_all(_working_in(folder), signal.SIGKILL)
            shutil.rmtree(folder, ignore_errors=True)


def _working_in(folder: Path) -> list[int]:
    pids = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "cwd").readlink().is_relative_to(folder):
                pids.append(int(process.name))
    return pids


def _descendants(pid: int) -> list[int]:
    try:
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return children + [grandchild for child in children for grandchild in _descendants(child)]


def _signal_all(pids: Sequence[int], signal_number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal_number)
