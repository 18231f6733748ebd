"""What callers send stays where they put it: no log, event, audit row, decision or metric repeats it."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import structlog
from prometheus_client import generate_latest

from shared.kernel.ids import new_id
from shared.kit import telemetry, tracebacks
from shared.kit.bus import tables as bus_tables
from shared.kit.settings import CommonSettings
from shared.kit.tables import audit_rows, decisions, timers
from tests.hostile.operations import Operation, Schema, fields_of, path_of, sample_of
from tests.hostile.planted import Planted, planted
from tests.infrastructure import canaries
from tests.structure.house import SERVICES

FREE = "canary"
TOLD_ON_PURPOSE = {
    "register_server.name": "what the backup of a machine is called by",
    "skip_parked_event.reason": "the audit trail keeps why an event was left out",
}
TOLD_ELSEWHERE = (bus_tables.outbox, audit_rows, decisions, timers)


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """What a process would write to its log meanwhile: everything of its own, and warnings of libraries."""
    before, lines = structlog.get_config(), io.StringIO()
    telemetry.configure_logging(CommonSettings(log_level="debug"), lines)
    structlog.configure(cache_logger_on_first_use=False)
    handler = logging.StreamHandler(lines)
    handler.setFormatter(tracebacks.Formatter())
    logging.getLogger().addHandler(handler)
    yield lines
    logging.getLogger().removeHandler(handler)
    structlog.configure(**before)
    telemetry._write_request = None


@pytest.mark.parametrize("service", SERVICES)
async def test_no_text_that_a_caller_may_choose_is_told_to_others(
    service: str, tmp_path: Path, logged: io.StringIO
) -> None:
    sent: dict[str, str] = {}
    async with planted(service, tmp_path, None) as house:
        for operation in house.operations:
            await _send_canaries(house, operation, sent)
        await house.service.run_due()
        tables = "\n".join([await _told_in(house, table) for table in TOLD_ELSEWHERE])
    places = {"logs": logged.getvalue(), "tables": tables, "metrics": generate_latest().decode()}
    assert sent
    assert '"event": "request"' in places["logs"]
    for place, content in places.items():
        assert not canaries.PATTERNS["a bearer token"].search(content.encode()), place
        told = {what for what, canary in sent.items() if canary in content} - TOLD_ON_PURPOSE.keys()
        assert not told, f"{place} tell {sorted(told)}"


async def test_a_fault_tells_neither_what_was_sent_nor_who_sent_it(
    on_sqlite: Planted, logged: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each route fails in its database, with its values in hand."""

    async def fails(_tx: Any, statement: Any, parameters: Any = None) -> Any:
        raise ValueError(f"{statement} {parameters}", values)

    values = f"{FREE}-in-a-fault"
    monkeypatch.setattr("shared.kit.db.Reader.execute", fails)
    for operation in on_sqlite.operations:
        body = sample_of(operation, on_sqlite.ids)
        body = body and {name: values if isinstance(value, str) else value for name, value in body.items()}
        path = path_of(operation, {**on_sqlite.ids, "path": values})
        answer = await on_sqlite.a_caller_of(operation).request(operation.method, path, json=body)
        assert values not in json.dumps({**answer.json(), "instance": ""}), str(operation)
    assert "builtins.ValueError" in logged.getvalue()
    assert values not in logged.getvalue()
    assert not canaries.kinds_in(logged.getvalue().encode())


async def _send_canaries(house: Planted, operation: Operation, sent: dict[str, str]) -> None:
    """Every free text by itself in an otherwise good request, then all at once in one that is refused."""
    client, body = house.a_caller_of(operation), sample_of(operation, house.ids)
    if operation.media_type == "application/octet-stream":
        ids = {**house.ids, "path": _canary(sent, operation, "path")}
        typed = {"content-type": operation.media_type}
        content = _canary(sent, operation, "content").encode()
        await client.request(operation.method, path_of(operation, ids), content=content, headers=typed)
    if body is None:
        return
    free = [str(where[0]) for where, schema in fields_of(operation.body or {}) if len(where) == 1 and _is_free(schema)]
    for name in free:
        changed = {**body, name: _canary(sent, operation, name)}
        if operation.name == "put_contact" and name == "email":
            changed[name] += "@customer.example"
        await _send(house, operation, changed, _canary(sent, operation, f"Idempotency-Key with {name}"))
    wrong = {**body, **{name: _canary(sent, operation, f"{name} among wrong ones") for name in body}}
    await _send(house, operation, wrong, _canary(sent, operation, "Idempotency-Key"), sent)


async def _send(
    house: Planted, operation: Operation, body: dict[str, Any], key: str, sent: dict[str, str] | None = None
) -> None:
    client, path = house.a_caller_of(operation), path_of(operation, house.ids)
    headers = {"idempotency-key": key} if operation.method == "POST" else {}
    if operation.media_type == "multipart/form-data":
        told = {} if sent is None else sent
        name, content = _canary(told, operation, "evidence.name"), _canary(told, operation, "evidence.content")
        files = {"evidence": (f"{name}.pdf", f"%PDF-1.7\n{content}".encode(), "application/pdf")}
        await client.request(operation.method, path, data=body, files=files, headers=headers)
        return
    await client.request(operation.method, path, json=body, headers=headers)


def _is_free(schema: Schema) -> bool:
    """Whether a caller may write there what it likes."""
    choices = [each for each in schema.get("anyOf", [schema]) if each.get("type") == "string"]
    return any(not {"format", "enum", "const", "pattern"} & each.keys() for each in choices)


def _canary(sent: dict[str, str], operation: Operation, field: str) -> str:
    what = f"{operation.name}.{field}"
    sent[what] = sent.get(what) or f"{FREE}-{new_id().hex}"
    return sent[what]


async def _told_in(house: Planted, table: sa.Table) -> str:
    async with house.service.runtime.database.reading() as reader:
        rows = await reader.rows(sa.select(table))
    return "\n".join(repr(tuple(row)) for row in rows)
