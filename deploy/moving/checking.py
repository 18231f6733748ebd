"""Looks through a backup without any database: is every file whole, do the chains hold, has every effect its cause."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any
from uuid import UUID

from deploy.moving import files, manifest
from deploy.moving.lines import Digest, instant_of, read_lines, sha256_of
from deploy.moving.manifest import Manifest, PackedFile, PackedService, PackedTable
from deploy.moving.records import PRODUCERS
from deploy.moving.tables import PLACES, hashed_line
from deploy.progress import Progress
from shared.kit.audit_trail import SealedRow, Walk

UNREADABLE = (OSError, EOFError, zlib.error, ValueError)
MOST_FINDINGS = 20


@dataclass
class Findings:
    """What is wrong, each naming its file; at most MOST_FINDINGS."""

    lines: list[str] = field(default_factory=list)

    def add(self, line: str) -> None:
        if len(self.lines) < MOST_FINDINGS:
            self.lines.append(line)


def check(folder: Path, progress: Progress) -> tuple[Manifest, list[str]]:
    """The manifest, and what does not hold; raises NotWhole when there is no usable manifest."""
    packed = manifest.read(folder)
    findings = Findings()
    damaged = set()
    for file in _packed_files(packed):
        progress.begin(f"Checking {file.path}")
        if not _is_whole(folder, file, findings):
            damaged.add(file.path)
    for service in packed.services:
        for table in service.tables:
            if table.file.path not in damaged:
                progress.begin(f"Checking {service.name}.{table.name}")
                _check_table(folder, table, findings, progress)
    if not damaged:
        for service in packed.services:
            progress.begin(f"Checking the audit chains of {service.name}")
            _check_chains(folder, service, findings, progress)
            _check_causes(folder, packed, service, findings)
    if packed.files.path not in damaged:
        progress.begin("Checking files")
        _check_files(folder, findings, progress)
    progress.end()
    return packed, findings.lines


def _packed_files(packed: Manifest) -> Iterator[PackedFile]:
    for service in packed.services:
        yield from (table.file for table in service.tables)
    yield packed.records
    yield packed.files
    if packed.keys is not None:
        yield packed.keys


def _is_whole(folder: Path, file: PackedFile, findings: Findings) -> bool:
    try:
        if sha256_of(folder / file.path) == file.sha256:
            return True
        findings.add(f"{folder / file.path} is damaged: its hash is not that of the manifest.")
    except OSError as error:
        findings.add(f"{folder / file.path} cannot be read: {error.strerror}.")
    return False


def _check_table(folder: Path, table: PackedTable, findings: Findings, progress: Progress) -> None:
    digest = Digest()
    hashed = hashed_line(table.name, [name for name, _ in table.columns])
    try:
        for line in read_lines(folder / table.file.path):
            digest.add(hashed(json.loads(line) if table.name in PLACES else (), line))
            progress.at(digest.rows, table.file.lines)
    except UNREADABLE as error:
        findings.add(f"{folder / table.file.path} cannot be read through: {type(error).__name__}.")
        return
    if (digest.rows, digest.text()) != (table.file.lines, table.digest):
        findings.add(f"{folder / table.file.path} holds other rows than its manifest says.")


def _check_chains(folder: Path, service: PackedService, findings: Findings, progress: Progress) -> None:
    """Every chain from its first row to its head. Rows and heads are in the order of their chains."""
    heads = _rows(folder, service, "audit_heads")
    for chain, rows in groupby(_sealed(folder, service, progress), key=itemgetter("chain")):
        head = next(heads, None)
        walk = Walk(UUID(chain))
        for row in rows:
            walk.read(SealedRow(row["seq"], instant_of(row["at"]), row["event"], row["hash"]))
            if walk.broken:
                break
        if walk.broken:
            findings.add(f"{service.name}: audit chain {chain} does not hold: row {walk.last + 1} {walk.broken}.")
        elif head is None or (head["chain"], head["seq"], head["hash"]) != (chain, walk.last, walk.hash):
            findings.add(f"{service.name}: audit chain {chain} ends at row {walk.last}, and its head says otherwise.")
            return
    if next(heads, None) is not None:
        findings.add(f"{service.name}: an audit head has lost its chain.")


def _sealed(folder: Path, service: PackedService, progress: Progress) -> Iterator[dict[str, Any]]:
    for number, row in enumerate(_rows(folder, service, "audit_rows"), start=1):
        progress.at(number)
        if row["seq"] is not None:
            yield row


def _check_causes(folder: Path, packed: Manifest, service: PackedService, findings: Findings) -> None:
    """No consumer has applied a fact that its producer has not told. Both lists are in the order of their keys.

    What was told in an epoch before the producer's present one may be forgotten: that was found out back then.
    """
    told = {producer.name: _Told(folder, producer) for producer in packed.services}
    for row in _rows(folder, service, "consumer_positions"):
        producer = PRODUCERS.get(row["topic"])
        if producer is None:
            continue
        position = (row["epoch"], row["seq"])
        if row["epoch"] >= packed.service(producer).epoch and position > told[producer].of(row["topic"], row["key"]):
            findings.add(
                f"{service.name} has applied number {row['seq']} of {row['topic']} {row['key']}, "
                f"which {producer} has not told: the databases are not from one point."
            )


class _Told:
    """How far a producer has told of each stream, asked in ascending order."""

    def __init__(self, folder: Path, producer: PackedService) -> None:
        self._rows = _rows(folder, producer, "streams")
        self._next = next(self._rows, None)

    def of(self, topic: str, key: str) -> tuple[int, int]:
        while self._next is not None and (self._next["topic"], self._next["key"]) < (topic, key):
            self._next = next(self._rows, None)
        found = self._next
        if found is None or (found["topic"], found["key"]) != (topic, key):
            return 0, 0
        return found["epoch"], found["seq"]


def _rows(folder: Path, service: PackedService, name: str) -> Iterator[dict[str, Any]]:
    table = service.table(name)
    if table is None:
        return
    names = [column for column, _ in table.columns]
    for line in read_lines(folder / table.file.path):
        yield dict(zip(names, json.loads(line), strict=True))


def _check_files(folder: Path, findings: Findings, progress: Progress) -> None:
    for number, file in enumerate(files.listed_files(folder), start=1):
        path = folder / files.FILES / file.path
        progress.at(number)
        try:
            whole = path.stat().st_size == file.bytes and sha256_of(path) == file.sha256
        except OSError as error:
            findings.add(f"{path} cannot be read: {error.strerror}.")
            continue
        if not whole:
            findings.add(f"{path} is damaged: its hash is not that of the list.")
