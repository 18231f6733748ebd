"""The data folder and the keys in it: there, ours, with room, and read by nobody else."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from deploy.doctor.finding import Finding, Patient, error, ok, warning
from services.backup.settings import BackupSettings
from services.contracts.settings import ContractsSettings
from shared.kernel.ids import new_id
from shared.kit.signing_keys import BrokenSuccession, SigningKeys

PART, KEYS = "data folder", "keys"
MEBIBYTE = 1024 * 1024
LEAST_FREE, ENOUGH_FREE = 64 * MEBIBYTE, 1024 * MEBIBYTE
KEY_BYTES = 32


def look(patient: Patient) -> list[Finding]:
    """Writes one empty file into the folder and removes it: nothing else tells whether that is possible."""
    folder = patient.data_dir
    if not folder.exists():
        remedy = f"mkdir -p {folder}, or set MAINSTAY_DATA_DIR to where your data is"
        return [patient.waits(PART, f"{folder} is not there", remedy)]
    trouble = _trouble_writing(folder)
    if trouble is not None:
        return [trouble]
    findings = [*_room(folder), *_owners(folder)]
    return findings or [ok(PART, f"{folder} can be written to, {_free(folder) // MEBIBYTE:,} MiB free")]


def look_at_keys(patient: Patient) -> list[Finding]:
    """Those in the data folder, and the master keys wherever they are."""
    folder = patient.data_dir / "keys"
    findings: list[Finding] = []
    count = 0
    for path in _files_in(folder):
        count += 1
        findings += _open_to_others(path, stat.S_IRWXG | stat.S_IRWXO)
    if (folder / "audit.pem").exists():
        findings += _audit_key(patient.data_dir, folder / "audit.pem")
    if patient.in_production and (folder / "development-issuer.json").exists():
        found = "the development issuer's key is here, and whoever has it may have signed tokens with it"
        findings.append(warning(KEYS, found, f"rm {folder / 'development-issuer.json'}"))
    backup = patient.services.get("backup")
    if isinstance(backup, BackupSettings):
        count += backup.key_file is not None
        findings += _master_key("backup", backup.key_file, folder / "backup.key", "backup")
    contracts = patient.services.get("contracts")
    if isinstance(contracts, ContractsSettings) and contracts.vault_transit_url is None:
        count += contracts.vault_key_file is not None
        findings += _master_key("vault", contracts.vault_key_file, folder / "vault.key", "secret in the vault")
    return findings or [ok(KEYS, f"{count} key file(s), readable by their owner only" if count else "none made yet")]


def _trouble_writing(folder: Path) -> Finding | None:
    probe = folder / f".doctor-{new_id()}"
    try:
        probe.write_bytes(b"\0")
    except OSError as trouble:
        if trouble.errno in {errno.ENOSPC, errno.EDQUOT}:
            return error(PART, f"the disk of {folder} is full", "free some space there, or give it a larger disk")
        reason = (trouble.strerror or type(trouble).__name__).lower()
        return error(PART, f"{folder} cannot be written to: {reason}", f"chown -R {os.geteuid()} {folder}")
    finally:
        with suppress(OSError):
            probe.unlink()
    return None


def _room(folder: Path) -> Iterator[Finding]:
    free, shown = _free(folder), f"{_free(folder) // MEBIBYTE:,} MiB"
    inodes = os.statvfs(folder)
    remedy = "free some space there, or give it a larger disk"
    if free < LEAST_FREE:
        yield error(PART, f"only {shown} are free at {folder}", remedy)
    elif free < ENOUGH_FREE:
        yield warning(PART, f"only {shown} are free at {folder}", remedy)
    if inodes.f_files and not inodes.f_favail:
        yield error(
            PART, f"the file system of {folder} takes no more files", "remove some, or make one with more inodes"
        )


def _free(folder: Path) -> int:
    state = os.statvfs(folder)
    return state.f_bavail * state.f_frsize


def _owners(folder: Path) -> Iterator[Finding]:
    """Of what is in the folder, and the keys; deeper down are files by the thousand.

    The folder itself may be another's: a volume of Kubernetes is root's, and writable for the group of its processes.
    """
    me = os.geteuid()
    owners = ((path, _owner_of(path)) for path in [*_names_in(folder), *_names_in(folder / "keys")])
    strange = [(path, owner) for path, owner in owners if owner not in {None, me}]
    if not strange:
        return
    found = f"{len(strange)} of the files, such as {strange[0][0]}, belong to user {strange[0][1]}"
    if me == 0:
        yield warning(PART, found, "run every command as that user; root leaves files that it cannot write to")
    else:
        yield error(PART, f"{found}, and this is user {me}", f"chown -R {me} {folder}, as root")


def _owner_of(path: Path) -> int | None:
    """None for what went away meanwhile, as SQLite's files beside a database do."""
    try:
        return path.lstat().st_uid
    except FileNotFoundError:
        return None


def _open_to_others(path: Path, bits: int) -> Iterator[Finding]:
    mode = path.stat().st_mode
    if mode & bits:
        yield error(KEYS, f"{path} is open to others (mode {stat.S_IMODE(mode):04o})", f"chmod 600 {path}")


def _audit_key(data_dir: Path, path: Path) -> Iterator[Finding]:
    try:
        SigningKeys(data_dir).known()
    except OSError as trouble:
        yield error(KEYS, f"{path} cannot be read: {trouble.strerror}", f"chown {os.geteuid()} {path}")
    except BrokenSuccession as broken:
        yield error(KEYS, str(broken), "restore keys/ and audit/ from the same backup of the data folder")
    except (ValueError, TypeError):
        yield error(KEYS, f"{path} is no key for signing audit heads", "restore it from your backup of the data folder")


def _master_key(kind: str, named: Path | None, default: Path, opens: str) -> Iterator[Finding]:
    path = named or default
    if not path.exists():
        if named is not None:
            remedy = f"put your copy of it there; only if there is no {opens} yet: head -c 32 /dev/urandom"
            yield error(KEYS, f"the {kind} key {path} is not there", remedy)
        return
    if named is not None and not os.path.ismount(path):
        # Of a mounted secret the way in is its folder outside; mounted by its folder, its group may be.
        yield from _open_to_others(path, stat.S_IRWXO)
    try:
        size = len(path.read_bytes())
    except OSError as trouble:
        yield error(KEYS, f"the {kind} key {path} cannot be read: {trouble.strerror}", f"chown {os.geteuid()} {path}")
        return
    if size < KEY_BYTES:
        found = f"the {kind} key {path} has {size} bytes, fewer than {KEY_BYTES}"
        yield error(KEYS, found, "put your copy of the whole file there")


def _names_in(folder: Path) -> list[Path]:
    # The last is the file system's own, at the root of a volume.
    return sorted(path for path in folder.iterdir() if path.name != "lost+found") if folder.is_dir() else []


def _files_in(folder: Path) -> list[Path]:
    return [path for path in _names_in(folder) if path.is_file()]
