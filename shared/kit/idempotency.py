"""Idempotency keys: the first answer is kept in the command's own transaction and given again."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import timedelta

import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import Response

from shared.kernel.errors import Conflict, Invalid
from shared.kit.auth import Caller
from shared.kit.db import Fixed, Transaction
from shared.kit.tables import idempotency_keys

KEPT_FOR = timedelta(hours=24)
LARGEST_KEPT_ANSWER = 1_048_576
_KEY = re.compile(r"[\x21-\x7e]{1,200}")
_BOUNDARY = re.compile(rb'boundary="?([^";,\s]+)')
_KEPT_HEADERS = ("content-type", "location", "etag")
_CONFIDENTIAL = b"confidential"
_NOT_KEPT = {"status": 204, "headers": {}, "body": b""}


class IdempotencyKeyMissing(Invalid):
    """Every POST needs an Idempotency-Key header: 1 to 200 visible ASCII characters."""


class IdempotencyKeyReused(Invalid):
    """This Idempotency-Key was used for another request."""


class StillRunning(Conflict):
    """The first request with this Idempotency-Key is still being worked on."""


class AnswerNotKept(Conflict):
    """This was done already, and its answer is not kept; a fresh Idempotency-Key has it done again."""


async def claim(tx: Transaction, request: Request, caller: Caller, body: bytes) -> Response | None:
    """Take the request's key in this transaction, or return the answer given before.

    Raises IdempotencyKeyMissing, IdempotencyKeyReused, StillRunning.
    """
    key = _key_of(request)
    digest = _digest(request, body)
    values = {"caller": caller.subject, "key": key, "request_sha256": digest, "created_at": tx.now}
    if await tx.insert_once(idempotency_keys, values, on=["caller", "key"]):
        return None
    columns = idempotency_keys.c
    row = await tx.row(
        sa.select(columns.request_sha256, columns.status, columns.headers, columns.body).where(
            columns.caller == caller.subject, columns.key == key
        )
    )
    if row is None or row.status is None:
        raise StillRunning()
    if row.request_sha256 != digest:
        raise IdempotencyKeyReused(field="Idempotency-Key")
    return Response(row.body, status_code=row.status, headers={**row.headers, "idempotency-replayed": "true"})


def insist_on_key(request: Request) -> None:
    """Raises IdempotencyKeyMissing."""
    _key_of(request)


async def use_up(tx: Transaction, request: Request, caller: Caller) -> None:
    """Take the key of a confidential request for good: neither its body nor its answer is kept.

    The hash is not of the body either: short secrets are found again by trying, with the database in hand. Raises
    IdempotencyKeyMissing, IdempotencyKeyReused, AnswerNotKept.
    """
    key, digest = _key_of(request), _digest(request, _CONFIDENTIAL)
    values = {"caller": caller.subject, "key": key, "request_sha256": digest, "created_at": tx.now}
    if await tx.insert_once(idempotency_keys, {**values, **_NOT_KEPT}, on=["caller", "key"]):
        return
    columns = idempotency_keys.c
    found = await tx.scalar(
        sa.select(columns.request_sha256).where(columns.caller == caller.subject, columns.key == key)
    )
    if found != digest:
        raise IdempotencyKeyReused(field="Idempotency-Key")
    raise AnswerNotKept()


async def keep(tx: Transaction, request: Request, caller: Caller, answer: Response) -> None:
    """Store the answer beside its effect."""
    body = bytes(answer.body)
    if len(body) > LARGEST_KEPT_ANSWER:
        raise ValueError("an answer to a command is small")
    headers = {name: answer.headers[name] for name in _KEPT_HEADERS if name in answer.headers}
    given = {
        "key_caller": caller.subject,
        "key_key": _key_of(request),
        "key_status": answer.status_code,
        "key_body": body,
    }
    if tx.dialect == "postgresql":
        tx.at_the_end("answered", _KEEP_ON_POSTGRESQL, {**given, "key_headers": json.dumps(headers)})
    else:
        await tx.execute(_KEEP, {**given, "key_headers": headers})


_KEEP = Fixed(
    sa.update(idempotency_keys)
    .where(idempotency_keys.c.caller == sa.bindparam("key_caller"), idempotency_keys.c.key == sa.bindparam("key_key"))
    .values(status=sa.bindparam("key_status"), headers=sa.bindparam("key_headers"), body=sa.bindparam("key_body"))
)
_KEEP_ON_POSTGRESQL = """
UPDATE idempotency_keys SET status = :key_status, headers = CAST(:key_headers AS JSONB), body = :key_body
WHERE caller = :key_caller AND key = :key_key
"""


async def forget_old(tx: Transaction, *, limit: int = 1000) -> int:
    """Delete keys older than KEPT_FOR, at most `limit`; returns how many."""
    columns = idempotency_keys.c
    old = sa.select(columns.caller, columns.key).where(columns.created_at < tx.now - KEPT_FOR).limit(limit).subquery()
    result = await tx.execute(
        sa.delete(idempotency_keys).where(
            sa.tuple_(columns.caller, columns.key).in_(sa.select(old.c.caller, old.c.key))
        )
    )
    return result.rowcount


def _key_of(request: Request) -> str:
    key = request.headers.get("idempotency-key", "")
    if not _KEY.fullmatch(key):
        raise IdempotencyKeyMissing(field="Idempotency-Key")
    return key


def _digest(request: Request, body: bytes) -> str:
    content_type = request.headers.get("content-type", "").encode()
    boundary = _BOUNDARY.search(content_type)
    if content_type.startswith(b"multipart/") and boundary:
        # A client that repeats an upload makes a new boundary around the same parts.
        body = body.replace(boundary[1], b"")
    parts = [request.method, request.scope["path"], request.url.query]
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogatepass") + b"\n" + body).hexdigest()
