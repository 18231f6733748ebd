"""The data folder: what of it is copied, and the keys, which leave it sealed with a passphrase only."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath
from typing import BinaryIO, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from deploy.moving.folders import Folders
from deploy.moving.lines import Lines, line_of, read_lines, sha256_of, writing_lines
from deploy.moving.manifest import NotWhole, PackedFile
from deploy.progress import Progress
from shared.kernel.errors import Conflict, Invalid
from shared.kit.disk import sync_folder, write_durably
from shared.kit.key_files import give_to_owner_of

FILES = "files"
LIST = "files.jsonl.gz"
KEYS = "keys.sealed"
KEY_FOLDER = "keys"
MASTER_KEYS = {"backup.key": "backup", "vault.key": "contracts"}
"""There is one of each in an installation, of that service."""
REPOSITORIES = "repositories"
LEFT_OUT = {KEY_FOLDER, "restic", "mainstay.lock"}
"""At the top of the data folder: keys leave sealed, `restic` holds a cache and locks."""
DATABASE_ENDS = (".db", ".db-wal", ".db-shm")
UNFINISHED = (".part",)
UNFINISHED_BEGIN = ".mainstay-"
PIECE_BYTES = 1024 * 1024
SHORTEST_PASSPHRASE = 12
SCRYPT = {"length": 32, "n": 2**15, "r": 8, "p": 1}
SALT_BYTES, NONCE_BYTES = 16, 12


class PassphraseTooShort(Invalid):
    """A passphrase has at least twelve characters."""


class WrongPassphrase(Invalid):
    """The keys of this backup do not open with that passphrase."""


class AnotherFileThere(Conflict):
    """The data folder holds another file under the name of one in the backup; nothing was overwritten."""


class CopiedFile(NamedTuple):
    path: str
    bytes: int
    mode: int
    sha256: str


def copy_files(folders: Folders, folder: Path, *, repositories: bool, progress: Progress) -> tuple[PackedFile, int]:
    """Into `folder`/files with a list beside it; returns the list and how many bytes were copied."""
    copied = 0
    with writing_lines(folder / LIST) as listed:
        for number, path in enumerate(_to_copy(folders, repositories=repositories), start=1):
            copied += _copy(folders.root, path, folder / FILES, listed)
            progress.at(number)
    return PackedFile(path=LIST, lines=listed.count, sha256=listed.sha256), copied


def _to_copy(folders: Folders, *, repositories: bool) -> Iterator[Path]:
    """Paths below the data folder.

    Names come in descending order, so that of a restic repository in use the snapshots are copied before the index
    and the data that they need.
    """
    left_out = LEFT_OUT if repositories else LEFT_OUT | {REPOSITORIES}
    for own in folders.all.values():
        for parent, below, names in os.walk(own):
            here = Path(parent)
            top = here == own
            below[:] = sorted((name for name in below if not (top and name in left_out)), reverse=True)
            for name in sorted(names, reverse=True):
                is_database = top and name.endswith(DATABASE_ENDS)
                if not is_database and not (top and name in left_out) and not _is_unfinished(name):
                    yield (here / name).relative_to(folders.root)


def _is_unfinished(name: str) -> bool:
    return name.startswith(UNFINISHED_BEGIN) or name.endswith(UNFINISHED)


def _copy(data_dir: Path, path: Path, target: Path, listed: Lines) -> int:
    """A link is left out; so is what was removed since it was seen."""
    try:
        source = os.open(data_dir / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if isinstance(error, FileNotFoundError) or (data_dir / path).is_symlink():
            return 0
        raise
    with os.fdopen(source, "rb") as read:
        found = os.fstat(source)
        if not stat.S_ISREG(found.st_mode):
            return 0
        size, digest = _write_from(read, target / path)
    listed.write(line_of([str(path), size, stat.S_IMODE(found.st_mode), digest]).encode())
    return size


def make_folder(folder: Path) -> None:
    """With those above it, each for the owner of the one that it is in."""
    if not folder.exists():
        make_folder(folder.parent)
        folder.mkdir(mode=0o700)
        give_to_owner_of(folder.parent, folder)


def _write_from(read: BinaryIO, target: Path) -> tuple[int, str]:
    make_folder(target.parent)
    digest, size = hashlib.sha256(), 0
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as written:
        while piece := read.read(PIECE_BYTES):
            digest.update(piece)
            size += len(piece)
            written.write(piece)
        written.flush()
        os.fsync(written.fileno())
    return size, digest.hexdigest()


def listed_files(folder: Path) -> Iterator[CopiedFile]:
    """Raises NotWhole for a path that leads out of the folder."""
    for line in read_lines(folder / LIST):
        file = CopiedFile(*json.loads(line))
        path = Path(file.path)
        if path.is_absolute() or ".." in path.parts:
            raise NotWhole(f"{folder / LIST} names a file outside of the folder.")
        yield file


def insist_on_room_for(folder: Path, folders: Folders, *, packed_each: bool) -> None:
    """Raises AnotherFileThere, naming the first, when a file of the backup would replace another one.

    A file of audit heads may be longer by now: what was signed since stays.
    """
    for file in listed_files(folder):
        for there in folders.places_of(file.path, packed_each=packed_each):
            if there.exists() and not _is_same(there, file) and not _goes_on(there, folder / FILES / file.path):
                raise AnotherFileThere(f"{there} is another file than in the backup: move it away first.")


def put_files(folder: Path, folders: Folders, *, packed_each: bool, progress: Progress) -> int:
    """Those that are not there; returns how many were written. Doing it again does no harm."""
    written = 0
    for number, file in enumerate(listed_files(folder), start=1):
        for there in folders.places_of(file.path, packed_each=packed_each):
            if not there.exists():
                _put(folder / FILES / file.path, file, there)
                written += 1
        progress.at(number)
    return written


def _put(packed: Path, file: CopiedFile, there: Path) -> None:
    fresh = there.with_name(f"{there.name}.part")
    fresh.unlink(missing_ok=True)
    with packed.open("rb") as read:
        size, digest = _write_from(read, fresh)
    if (size, digest) != (file.bytes, file.sha256):
        fresh.unlink()
        raise NotWhole(f"{packed} is damaged. Use another copy of the backup.")
    fresh.chmod(file.mode)
    give_to_owner_of(there.parent, fresh)
    fresh.replace(there)
    sync_folder(there.parent)


def _is_same(path: Path, file: CopiedFile) -> bool:
    return path.is_file() and path.stat().st_size == file.bytes and sha256_of(path) == file.sha256


def _goes_on(there: Path, packed: Path) -> bool:
    if not there.name.endswith(".heads.jsonl") or not there.is_file():
        return False
    before = packed.read_bytes()
    with there.open("rb") as read:
        return read.read(len(before)) == before


def keys_of(folders: Folders, elsewhere: Mapping[str, Path]) -> dict[str, bytes]:
    """Every key file by its name in keys/, behind that of the service when each has a folder.

    A master key, of which there is one, has its name alone. One that is kept `elsewhere` (by its name) comes along,
    with its successor and the one before while it is replaced.
    """
    found = {}
    for before, own in folders.all.items():
        for path in sorted((own / KEY_FOLDER).glob("*")):
            if path.is_file():
                found[path.name if _master_in(path.name) else f"{before}{path.name}"] = path.read_bytes()
    for name, key in elsewhere.items():
        for path in (key, *sorted(key.parent.glob(f"{key.name}.*"))):
            # Empty where a key before the one in use could be mounted and none is.
            if path.is_file() and path.stat().st_size:
                found[name + path.name.removeprefix(key.name)] = path.read_bytes()
    return found


def _master_in(name: str) -> str | None:
    """Which master key a file of that name belongs to: its successor and the one before have longer names."""
    return next((master for master in MASTER_KEYS if name.startswith(master)), None)


def insist_on_length(passphrase: str) -> None:
    """Raises PassphraseTooShort."""
    if len(passphrase) < SHORTEST_PASSPHRASE:
        raise PassphraseTooShort()


def seal(keys: Mapping[str, bytes], passphrase: str, path: Path) -> PackedFile:
    """AES-256-GCM under a key that scrypt makes of the passphrase."""
    salt, nonce = os.urandom(SALT_BYTES), os.urandom(NONCE_BYTES)
    content = json.dumps({name: base64.b64encode(key).decode() for name, key in keys.items()}).encode()
    closed = AESGCM(_key(passphrase, salt)).encrypt(nonce, content, None)
    write_durably(path, salt + nonce + closed)
    return PackedFile(path=path.name, lines=len(keys), sha256=hashlib.sha256(salt + nonce + closed).hexdigest())


def unseal(path: Path, passphrase: str) -> dict[str, bytes]:
    """Raises WrongPassphrase."""
    content = path.read_bytes()
    salt, nonce = content[:SALT_BYTES], content[SALT_BYTES : SALT_BYTES + NONCE_BYTES]
    try:
        opened = AESGCM(_key(passphrase, salt)).decrypt(nonce, content[SALT_BYTES + NONCE_BYTES :], None)
    except (InvalidTag, ValueError):
        raise WrongPassphrase() from None
    return {name: base64.b64decode(key) for name, key in json.loads(opened).items()}


def put_keys(keys: Mapping[str, bytes], folders: Folders, elsewhere: Mapping[str, Path]) -> None:
    """Raises AnotherFileThere before anything is written, when one of them is there with another content."""
    places = {place: key for name, key in keys.items() for place in _places(name, folders, elsewhere)}
    for path, key in places.items():
        if path.exists() and path.read_bytes() != key:
            raise AnotherFileThere(f"{path} is another key than in the backup: move it away first.")
    for path, key in places.items():
        if not path.exists():
            make_folder(path.parent)
            write_durably(path, key)
            give_to_owner_of(path.parent, path)


def _places(name: str, folders: Folders, elsewhere: Mapping[str, Path]) -> list[Path]:
    """What all services signed with in one folder is the key of each in folders of their own."""
    service, file = PurePath(name).parent.name, PurePath(name).name
    if (master := _master_in(file)) is not None:
        here = elsewhere.get(master) or folders.of(MASTER_KEYS[master]) / KEY_FOLDER / master
        return [here.with_name(here.name + file.removeprefix(master))]
    return [own / KEY_FOLDER / file for before, own in folders.all.items() if service in ("", before.rstrip("/"))]


def _key(passphrase: str, salt: bytes) -> bytes:
    return Scrypt(salt=salt, **SCRYPT).derive(passphrase.encode())
