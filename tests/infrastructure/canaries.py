"""The personal data and the secrets in what tests send, and the search for them where they must not be."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from shared.kit import tracebacks

PLANTED: dict[str, set[str]] = {
    "a customer's name": {"Ada Lovelace", "Beispiel AG", "Exemple SARL", "Harbour Books", "林氏贸易"},
    "an address": {"Hauptstraße 5", "1 rue de la Paix", "Speicherstadt 7"},
    "a tax id": {"FR40303265045", "DE136695976"},
    "a bank reference": {"RF18 "},
    "evidence": {"receipt.pdf", "%PDF-1."},
    "the content of a file": {"colour=blue", "currency = EUR", "day,order,minor"},
    "the path of a file": {"app.conf", "shop.conf", "ledger/2026", "quay.bin"},
    "special circumstances": {"flood of last week", "A holiday is not special"},
    "what somebody hostile sent": {"hunter2"},
}
"""By kind; each is distinct enough to be in nothing but what was made of it."""

PATTERNS = {
    "a bearer token": re.compile(rb"eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}"),
    "a password in a URL": re.compile(rb"\w://[^\s:/@'\"]*:[^\s/@'\"*]+@"),
    "an e-mail address": re.compile(rb"(?<![\w.+-])(?!notices@mainstay\.)[\w.+-]+@[\w-]+\.(?:example|com|org)\b"),
    "an Idempotency-Key": re.compile(rb"idempotency-of-a-test-[\w-]+"),
    "a key file": re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----|\"d\": ?\"[\w-]{20,}\""),
}
LOGGED: list[str] = []
"""Kinds that were found in what was logged in this process since somebody last looked."""


class Told(AssertionError):
    """Personal data or a secret is where it must not be; names the place and the kind, never the value."""


def kinds_in(content: bytes, more: Iterable[bytes] = ()) -> list[str]:
    """Which kinds are in there; `more` are secrets that only one installation has."""
    found = [kind for kind, values in PLANTED.items() if any(form in content for form in _forms(values))]
    found += [kind for kind, pattern in PATTERNS.items() if pattern.search(content)]
    return found + (["a key of this installation"] if any(secret in content for secret in more) else [])


def insist_on_silence(place: str, content: bytes, more: Iterable[bytes] = ()) -> None:
    """Raises Told."""
    if found := kinds_in(content, more):
        raise Told(f"{place} tells {', '.join(found)}")


def insist_on_silence_in(folder: Path) -> None:
    """Of the logs and event logs of the servers that ran in there; raises Told."""
    keys = [key for path in folder.rglob("keys/*") if path.is_file() for key in _secrets_in(path.read_bytes())]
    for path in sorted(folder.rglob("*")):
        if path.is_file() and _is_for_others(path, folder):
            insist_on_silence(f"{folder.name}/{path.relative_to(folder)}", path.read_bytes(), keys)


def note_line(_logger: object, _method: str, line: Any) -> str:
    """The last of structlog's processors, behind the one that made a text of it."""
    LOGGED.extend(kinds_in(str(line).encode("utf-8", "replace")))
    return str(line)


class Listener(logging.Handler):
    """What libraries log, as our own processes would show it."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.setFormatter(tracebacks.Formatter())

    def emit(self, record: logging.LogRecord) -> None:
        note_line(None, "", self.format(record))


def _is_for_others(path: Path, folder: Path) -> bool:
    """Logs of processes, the SQL event log on SQLite, and the segments of Kafka's topics."""
    of_kafka = path.suffix == ".log" and "data" in path.relative_to(folder).parts
    return path.name == "server.log" or path.name.startswith("events.db") or of_kafka


def _forms(values: Iterable[str]) -> Iterator[bytes]:
    for value in values:
        yield value.encode()
        if not value.isascii():
            yield json.dumps(value)[1:-1].encode()


def _secrets_in(key: bytes) -> list[bytes]:
    try:
        stored: Any = json.loads(key)
    except ValueError:
        return [key.strip(), key.hex().encode()]
    return [str(stored[name]).encode() for name in ("d", "private") if name in stored]
