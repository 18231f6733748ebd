"""One contract for the real restic and the fake one, and what only the real one can show."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import shutil
import signal
import stat
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from services.backup.gateways.fake_restic import FakeRestic
from services.backup.gateways.keys import KeyMissing, RepositoryKeys
from services.backup.gateways.restic import (
    NotInSnapshot,
    Repository,
    RepositoryBusy,
    Restic,
    ResticFailed,
    ResticMissing,
    Snapshot,
    SnapshotFile,
)
from services.backup.gateways.restic_client import ResticClient
from shared.kernel.ids import new_id
from tests.infrastructure.restic import ResticBinary
from tests.infrastructure.waiting import eventually

AT = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
REPOSITORY = Repository(new_id(), new_id())
CONTENT = b"colour=blue\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "etc").mkdir(parents=True)
    (folder / "etc" / "app.conf").write_bytes(CONTENT)
    (folder / "empty").write_bytes(b"")
    (folder / ".mainstay-partial").write_bytes(b"half")
    return folder


@pytest.fixture(scope="session")
async def empty_repository(tmp_path_factory: pytest.TempPathFactory, restic_binary: ResticBinary) -> Path:
    """Making a repository takes seconds: it is made once and copied."""
    folder = tmp_path_factory.mktemp("restic")
    await a_client(folder, restic_binary.path)._make_repository(REPOSITORY)
    return folder


@pytest.fixture
def client(tmp_path: Path, restic_binary: ResticBinary, empty_repository: Path) -> ResticClient:
    shutil.copytree(empty_repository, tmp_path, dirs_exist_ok=True)
    return a_client(tmp_path, restic_binary.path)


@pytest.fixture(params=["fake", "real"])
def restic(request: pytest.FixtureRequest) -> Restic:
    if request.param == "fake":
        return FakeRestic()
    client: ResticClient = request.getfixturevalue("client")
    return client


@pytest.fixture
def repository() -> Repository:
    return REPOSITORY


def a_client(tmp_path: Path, program: str, **changes: Any) -> ResticClient:
    return ResticClient(
        program,
        base=str(tmp_path / "repositories"),
        keys=RepositoryKeys(tmp_path / "keys" / "backup.key"),
        state=tmp_path / "restic",
        **changes,
    )


async def test_a_backup_is_found_by_its_tag_read_back_and_deleted(
    restic: Restic, repository: Repository, folder: Path, tmp_path: Path
) -> None:
    assert await restic.find(repository, "run:1") is None
    made = await restic.back_up(repository, folder, tag="run:1", at=AT)
    assert (made.files, made.bytes) == (2, len(CONTENT))
    found = await restic.find(repository, "run:1")
    assert found is not None
    assert found.id.startswith(made.id)
    assert (found.files, found.bytes) == (made.files, made.bytes)
    assert await restic.find(repository, "run:2") is None

    digest = hashlib.sha256(CONTENT).hexdigest()
    assert await restic.hash_of(repository, found.id, "etc/app.conf") == digest
    assert await restic.hash_of(repository, found.id, "empty") == hashlib.sha256(b"").hexdigest()
    assert sorted(await restic.files(repository, found.id), key=lambda file: file.path) == [
        SnapshotFile("empty", 0),
        SnapshotFile("etc/app.conf", len(CONTENT)),
    ]
    to = tmp_path / "restored"
    assert await restic.restore(repository, found.id, "etc/app.conf", to) == (digest, len(CONTENT))
    assert to.read_bytes() == CONTENT
    for path in ("no/such/file", "etc"):
        with pytest.raises(NotInSnapshot):
            await restic.restore(repository, found.id, path, tmp_path / "nothing")
    with pytest.raises(NotInSnapshot):
        await restic.hash_of(repository, found.id, "no/such/file")
    assert partials_in(tmp_path) == []

    await restic.delete(repository)
    await restic.delete(repository)
    assert await restic.find(repository, "run:1") is None


async def test_of_two_backups_at_once_one_is_made_and_a_later_one_adopts_it(
    restic: Restic, repository: Repository, folder: Path
) -> None:
    outcomes = await asyncio.gather(
        *[restic.back_up(repository, folder, tag="run:1", at=AT) for _ in range(2)], return_exceptions=True
    )
    (first,) = [each for each in outcomes if isinstance(each, Snapshot)]
    assert [type(each) for each in outcomes if each is not first] == [RepositoryBusy]
    (folder / "later").write_bytes(b"later")
    again = await restic.back_up(repository, folder, tag="run:1", at=AT)
    assert again.id.startswith(first.id)
    assert again.files == 2
    await restic.forget(repository, again.id)
    assert await restic.find(repository, "run:1") is None
    assert (await restic.back_up(repository, folder, tag="run:1", at=AT)).files == 3


async def test_without_the_program_every_call_says_so(tmp_path: Path, repository: Repository, folder: Path) -> None:
    client = a_client(tmp_path, "no-such-restic")
    with pytest.raises(ResticMissing):
        await client.find(repository, "run:1")
    with pytest.raises(ResticMissing):
        await client.back_up(repository, folder, tag="run:1", at=AT)


async def test_a_lock_left_by_a_killed_process_does_not_stop_us(
    client: ResticClient, repository: Repository, folder: Path, tmp_path: Path, restic_binary: ResticBinary
) -> None:
    made = await client.back_up(repository, folder, tag="run:1", at=AT)
    locks = tmp_path / "repositories" / repository.name / "locks"

    async def is_locked() -> bool:
        return bool(list(locks.iterdir()))

    async with client._session(repository) as session:
        # It waits for its input under a lock that forgetting cannot share.
        process = await asyncio.create_subprocess_exec(
            *(restic_binary.path, "backup", "--stdin"), env=session.environment, stdin=asyncio.subprocess.PIPE
        )
        await eventually(is_locked)
        process.kill()
        await process.wait()
    assert await is_locked()
    await client.forget(repository, made.id)
    assert await client.find(repository, "run:1") is None


async def test_nobody_starts_while_an_orphan_still_backs_up(
    client: ResticClient, repository: Repository, folder: Path, tmp_path: Path
) -> None:
    locks = tmp_path / "restic" / "locks"
    locks.mkdir(parents=True)
    with (locks / f"{repository.protection_id}.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(RepositoryBusy):
            await client.back_up(repository, folder, tag="run:1", at=AT)
    await client.back_up(repository, folder, tag="run:1", at=AT)


async def test_a_lost_key_is_not_replaced_while_there_are_backups(
    client: ResticClient, repository: Repository, folder: Path, tmp_path: Path
) -> None:
    await client.back_up(repository, folder, tag="run:1", at=AT)
    key = tmp_path / "keys" / "backup.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    key.rename(key.with_suffix(".lost"))
    for other in (repository, Repository(new_id(), new_id())):
        with pytest.raises(ResticFailed, match="cannot be read"):
            await client.back_up(other, folder, tag="run:2", at=AT)
    assert not key.exists()


def partials_in(folder: Path) -> list[Path]:
    return list(folder.glob(".mainstay-*"))


async def pid_in(file: Path) -> int | None:
    def read() -> int | None:
        text = file.read_text().strip() if file.exists() else ""
        return int(text) if text else None

    return await asyncio.to_thread(read)


async def test_where_there_is_no_repository_nothing_is_found(tmp_path: Path, restic_binary: ResticBinary) -> None:
    assert await a_client(tmp_path, restic_binary.path).find(Repository(new_id(), new_id()), "run:1") is None


async def a_program(tmp_path: Path, script: str) -> str:
    program = tmp_path / "restic-stub"
    program.write_text("#!/bin/sh\n" + '[ "$1" = version ] && echo "restic 0.18.1" && exit 0\n' + script)
    program.chmod(0o700)
    return str(program)


async def test_no_secret_is_in_arguments_or_errors_and_later_versions_wait_for_locks(
    tmp_path: Path, repository: Repository, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAINSTAY_BACKUP_DATABASE_URL", "postgresql://user:hunter2@db/x")
    program = await a_program(
        tmp_path,
        f'echo "$@" >> {tmp_path}/arguments; env >> {tmp_path}/environment\n'
        'echo "wrong password $RESTIC_PASSWORD for $RESTIC_REPOSITORY" >&2; exit 12\n',
    )
    keys = RepositoryKeys(tmp_path / "keys" / "backup.key")
    client = ResticClient(program, base="rest:http://user:s3cret@store/x", keys=keys, state=tmp_path / "restic")
    with pytest.raises(ResticFailed) as failed:
        await client.back_up(repository, folder, tag="run:1", at=AT)
    password = keys.password_of(repository.name)
    arguments = (tmp_path / "arguments").read_text()
    assert "--retry-lock 1m" in arguments
    for secret in (password, "s3cret"):
        assert secret not in str(failed.value)
        assert secret not in arguments
    assert "hunter2" not in (tmp_path / "environment").read_text()


async def test_from_an_append_only_repository_is_deleted_by_the_other_way_only(
    tmp_path: Path, repository: Repository, folder: Path
) -> None:
    program = await a_program(
        tmp_path,
        'for verb in cat init backup snapshots forget unlock; do case " $* " in *" $verb "*) break ;; esac; done\n'
        f'echo "$verb $RESTIC_REPOSITORY" >> {tmp_path}/calls\n'
        "case $verb in\n"
        "cat) exit 10 ;;\n"  # there is no repository yet
        "backup) exit 3 ;;\n"  # a file could not be read
        'snapshots) echo \'[{"id": "5afe", "time": "2030-01-02T03:04:05Z"}]\' ;;\n'
        "esac\n",
    )
    client = ResticClient(
        program,
        base="rest:http://adding/x",
        deleting_base="rest:http://deleting/x",
        keys=RepositoryKeys(tmp_path / "keys" / "backup.key"),
        state=tmp_path / "restic",
    )
    with pytest.raises(ResticFailed, match="some files could not be read"):
        await client.back_up(repository, folder, tag="run:1", at=AT)
    await client.delete(repository)
    calls = [line.split() for line in (tmp_path / "calls").read_text().splitlines()]
    # One level below the user's: a REST server has no folders that lie deeper.
    name = f"{repository.server_id}_{repository.protection_id}"
    assert [verb for verb, where in calls if where == f"rest:http://adding/x/{name}"] == ["cat", "init", "backup"]
    assert [where for verb, where in calls if verb == "forget"] == [f"rest:http://deleting/x/{name}"] * 2


async def test_a_program_that_hangs_is_killed(tmp_path: Path, repository: Repository, folder: Path) -> None:
    program = await a_program(tmp_path, f"echo $$ > {tmp_path}/pid; exec sleep 60\n")
    client = a_client(tmp_path, program)
    attempt = asyncio.create_task(client.back_up(repository, folder, tag="run:1", at=AT))
    pid = await eventually(lambda: pid_in(tmp_path / "pid"))
    assert pid is not None
    attempt.cancel()
    with pytest.raises(asyncio.CancelledError):
        await attempt
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not list((tmp_path / "repositories").rglob("config"))


WORKER = """
import asyncio, sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID
from services.backup.gateways.keys import RepositoryKeys
from services.backup.gateways.restic import Repository
from services.backup.gateways.restic_client import ResticClient
program, folder, server, protection = sys.argv[1:]
here = Path(folder)
keys = RepositoryKeys(here / "keys" / "backup.key")
client = ResticClient(program, base=str(here / "repositories"), keys=keys, state=here / "restic")
repository = Repository(UUID(server), UUID(protection))
asyncio.run(client.back_up(repository, here / "source", tag="run:1", at=datetime.now(UTC)))
"""


async def test_restic_that_outlives_a_killed_worker_keeps_others_away(
    tmp_path: Path, repository: Repository, folder: Path
) -> None:
    program = await a_program(tmp_path, f'[ "$1" = backup ] && echo $$ > {tmp_path}/pid && exec sleep 60\nexit 0\n')
    names = [program, str(tmp_path), str(repository.server_id), str(repository.protection_id)]
    worker = await asyncio.create_subprocess_exec(sys.executable, "-c", WORKER, *names)
    orphan = await eventually(lambda: pid_in(tmp_path / "pid"))
    assert orphan is not None
    try:
        worker.kill()
        await worker.wait()
        with pytest.raises(RepositoryBusy):
            await a_client(tmp_path, program).back_up(repository, folder, tag="run:1", at=AT)
    finally:
        os.kill(orphan, signal.SIGKILL)


async def test_a_backup_that_missed_some_files_is_no_backup(
    tmp_path: Path, repository: Repository, folder: Path
) -> None:
    program = await a_program(
        tmp_path,
        f'echo "$1" >> {tmp_path}/verbs\n'
        'case "$1" in backup) exit 3;; snapshots) echo \'[{"id":"abc","time":"2030"}]\';; esac\n',
    )
    (tmp_path / "repositories" / repository.name / "locks").mkdir(parents=True)
    client = a_client(tmp_path, program)
    with pytest.raises(ResticFailed, match="could not be read"):
        await client.back_up(repository, folder, tag="run:1", at=AT)
    assert (tmp_path / "verbs").read_text().split() == ["init", "backup", "snapshots", "forget"]


@pytest.mark.parametrize(
    "spoil", [lambda file: file.unlink(), lambda file: file.write_bytes(b"short")], ids=["gone", "short"]
)
def test_a_key_file_that_is_no_key_is_refused(tmp_path: Path, spoil: Callable[[Path], object]) -> None:
    keys = RepositoryKeys(tmp_path / "backup.key")
    first = keys.password_of("a", make=True)
    assert keys.password_of("a") == first
    assert keys.password_of("b") != first
    spoil(tmp_path / "backup.key")
    with pytest.raises(KeyMissing):
        keys.password_of("a")
