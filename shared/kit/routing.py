"""Routes of the house: each declares its caller and its refusals, and a write commits before it answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.formparsers import MultiPartParser
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from shared.kernel.errors import Forbidden, NoRoom, Refusal, TooLarge, Unauthenticated
from shared.kit import idempotency, problems
from shared.kit.auth import ANYONE, NOBODY, Caller, Role, require
from shared.kit.commands import Command
from shared.kit.db import DatabaseAway, LockedByAnother, OutcomeUnknown, Reader, Transaction
from shared.kit.direct_call import directly

if TYPE_CHECKING:
    from shared.kit.rate_limits import RateLimits
    from shared.kit.runtime import Runtime

F = TypeVar("F", bound=Callable[..., Any])

LARGEST_JSON_BODY = 262_144
SLOWEST_BYTES_PER_SECOND = 16_384
MOST_BYTES_HELD = 256 * 1024 * 1024
REQUEST_SECONDS = 10
"""From the complete body to the answer; longer than a statement may take, and that longer than a lock is waited for."""

# A form's files stay in memory like the body that they came in: a full temporary folder turns no upload away.
MultiPartParser.spool_max_size = MOST_BYTES_HELD


@dataclass(frozen=True)
class Declared:
    """What a route says of itself; tests/structure fails the build for a route without it."""

    callers: frozenset[Role]
    refusals: tuple[type[Refusal], ...]
    holds_reader: bool = True
    """False for a GET that waits: it opens `runtime.database.reading()` itself, briefly, as often as it looks."""
    largest_body: int = LARGEST_JSON_BODY
    confidential: bool = False
    """A command whose body or answer holds a secret: neither is kept, and its story opens the transaction itself."""


class HouseRoute(APIRoute):
    """Authenticates, opens the one transaction (or reader), answers a repeated key, commits, then answers."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        original = directly(self, super().get_route_handler(), _GIVEN)
        declared: Declared | None = getattr(self.endpoint, "__declared__", None)
        if declared is None:
            raise TypeError(f"{self.path} declares no caller: use HouseRouter")
        methods = self.methods or set()
        known = _query_names(self.dependant)
        work = _work_of(declared, methods)
        keyed = "POST" in methods

        async def handle(request: Request) -> Response:
            runtime: Runtime = request.app.state.runtime
            limits: RateLimits = request.app.state.rate_limits
            caller = NOBODY
            if declared.callers == ANYONE:
                limits.take(_address_of(request))
            else:
                # A token that was not seen lately counts for its address too: verifying costs, whoever made it.
                caller = await runtime.authenticator.caller_of(
                    request.headers.get("authorization"), at_first_sight=lambda: limits.take(_address_of(request))
                )
                limits.take(caller.subject)
                require(caller, declared.callers)
            if request.method == "GET" and request.scope["query_string"]:
                _only_known(request, known)
            request.state.caller = caller
            return await work(runtime, request, caller, original, keyed, declared.largest_body)

        return handle


Handler = Callable[[Request], Awaitable[Response]]
Work = Callable[["Runtime", Request, Caller, Handler, bool, int], Coroutine[Any, Any, Response]]


def _work_of(declared: Declared, methods: set[str]) -> Work:
    if methods <= {"GET", "HEAD"}:
        return _read if declared.holds_reader else _alone
    return _confidential if declared.confidential else _write


@dataclass
class BodiesHeld:
    """Bytes of the bodies that this process works on at the moment."""

    bytes: int = 0

    def add(self, number: int) -> None:
        """Raises TooBusy."""
        if self.bytes + number > MOST_BYTES_HELD:
            raise problems.TooBusy()
        self.bytes += number


def _address_of(request: Request) -> str:
    return f"{NOBODY.subject} {request.client.host if request.client else ''}"


def _query_names(dependant: Dependant) -> set[str]:
    own = {field.alias for field in dependant.query_params}
    return own.union(*(_query_names(inner) for inner in dependant.dependencies))


def _only_known(request: Request, known: set[str]) -> None:
    """A misspelt filter would otherwise answer with everything; raises MalformedRequest."""
    for name in request.query_params:
        if name not in known:
            raise problems.MalformedRequest("is not a parameter of this path", field=name[:100])


async def _read(
    runtime: Runtime, request: Request, _caller: Caller, original: Handler, _keyed: bool, _largest: int
) -> Response:
    async with in_time(), runtime.database.reading() as reader:
        request.state.tx = reader
        return await original(request)


async def _alone(
    _runtime: Runtime, request: Request, _caller: Caller, original: Handler, _keyed: bool, _largest: int
) -> Response:
    return await original(request)


@asynccontextmanager
async def in_time() -> AsyncIterator[None]:
    """Raises TookTooLong when the block does not end within REQUEST_SECONDS."""
    try:
        async with asyncio.timeout(REQUEST_SECONDS) as deadline:
            yield
    except TimeoutError:
        if deadline.expired():
            raise problems.TookTooLong() from None
        raise


async def _body_within(request: Request, largest: int, held: BodiesHeld, patience_seconds: float) -> bytes:
    """The whole body, which the caller gives back to `held`; raises TooLarge, BodyTooSlow, BodyCutShort, TooBusy.

    FastAPI's own limit would answer in plain text, not with a problem.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > largest:
        raise TooLarge(largest_bytes=largest)
    body = bytearray()
    by = asyncio.get_running_loop().time() + patience_seconds
    try:
        async with asyncio.timeout_at(by) as patience:
            async for chunk in request.stream():
                if len(body) + len(chunk) > largest:
                    raise TooLarge(largest_bytes=largest)
                held.add(len(chunk))
                body += chunk
                patience.reschedule(by + len(body) / SLOWEST_BYTES_PER_SECOND)
    except BaseException as error:
        held.bytes -= len(body)
        if isinstance(error, TimeoutError):
            raise problems.BodyTooSlow() from None
        if isinstance(error, ClientDisconnect):
            raise problems.BodyCutShort() from None
        raise
    request._body = bytes(body)  # where Starlette itself keeps a body that was read
    return request._body


async def _write(
    runtime: Runtime, request: Request, caller: Caller, original: Handler, keyed: bool, largest: int
) -> Response:
    # The body is read before the transaction opens, so that a slow sender holds no lock.
    held: BodiesHeld = request.app.state.bodies_held
    body = await _body_within(request, largest, held, runtime.common.body_seconds)
    try:
        async with in_time():
            return await _command(runtime, request, caller, original, keyed, body)
    finally:
        held.bytes -= len(body)


async def _command(
    runtime: Runtime, request: Request, caller: Caller, original: Handler, keyed: bool, body: bytes
) -> Response:
    async with runtime.database.transaction() as tx:
        _introduce(tx, request, caller)
        request.state.tx = tx
        if keyed:
            answered = await idempotency.claim(tx, request, caller, body)
            if answered is not None:
                return answered
        answer = await original(request)
        if keyed:
            await idempotency.keep(tx, request, caller, answer)
    return answer


def _introduce(tx: Transaction, request: Request, caller: Caller) -> None:
    tx.actor = caller.subject
    tx.correlation_id = request.state.correlation_id
    tx.traceparent = request.state.traceparent


async def _confidential(
    runtime: Runtime, request: Request, caller: Caller, original: Handler, keyed: bool, largest: int
) -> Response:
    """What came and what goes is nowhere but in this process, and with the caller."""

    async def begin(tx: Transaction) -> None:
        _introduce(tx, request, caller)
        if keyed:
            await idempotency.use_up(tx, request, caller)

    held: BodiesHeld = request.app.state.bodies_held
    body = await _body_within(request, largest, held, runtime.common.body_seconds)
    try:
        async with in_time():
            if keyed:
                idempotency.insist_on_key(request)
            request.state.command = Command(runtime.database, begin)
            answer = await original(request)
    finally:
        held.bytes -= len(body)
    answer.headers["cache-control"] = "no-store"
    return answer


_REPEATED = "Fresh per command, repeated on retry: the same key and body get the same answer."
_ONCE = "Fresh per command, repeated on retry: what was done already is refused, for its answer is not kept."


class HouseRouter(APIRouter):
    """`@router.post(path, callers={Role.FINANCE}, refusals=[AlreadyDecided])`; `callers=ANYONE` is public."""

    def __init__(self, prefix: str, *, tag: str, max_body_size: int = LARGEST_JSON_BODY) -> None:
        super().__init__(prefix=prefix, tags=[tag], route_class=HouseRoute)
        self._largest_body = max_body_size

    def declare(
        self,
        method: str,
        path: str,
        *,
        callers: Iterable[Role],
        refusals: Iterable[type[Refusal]] = (),
        holds_reader: bool = True,
        confidential: bool = False,
        **options: Any,
    ) -> Callable[[F], F]:
        declared = Declared(frozenset(callers), tuple(refusals), holds_reader, self._largest_body, confidential)
        spoken: list[type[Refusal]] = [*declared.refusals, DatabaseAway, problems.TookTooLong, problems.TooManyRequests]
        if declared.callers != ANYONE:
            spoken += [Unauthenticated, Forbidden]
        if method != "GET":
            spoken += [LockedByAnother, NoRoom, OutcomeUnknown, TooLarge, problems.BodyTooSlow, problems.TooBusy]
        parameters: list[dict[str, Any]] = []
        if method == "POST":
            spoken += [idempotency.IdempotencyKeyMissing, idempotency.IdempotencyKeyReused]
            spoken.append(idempotency.AnswerNotKept if confidential else idempotency.StillRunning)
            parameters.append(
                {
                    "name": "Idempotency-Key",
                    "in": "header",
                    "required": True,
                    "description": _ONCE if confidential else _REPEATED,
                    "schema": {"type": "string", "minLength": 1, "maxLength": 200},
                }
            )
        spoken.append(problems.MalformedRequest)
        extra: dict[str, Any] = {
            "security": [{"bearer": []}] if declared.callers != ANYONE else [],
            "x-callers": sorted(declared.callers) or ["anyone"],
        }
        if parameters:
            extra["parameters"] = parameters

        def decorate(endpoint: F) -> F:
            endpoint.__declared__ = declared  # type: ignore[attr-defined]
            self.add_api_route(
                path,
                endpoint,
                methods=[method],
                responses={**problems.responses(spoken), **options.pop("responses", {})},
                openapi_extra=extra,
                operation_id=f"{endpoint.__name__}",
                **options,
            )
            return endpoint

        return decorate

    def get(self, path: str, **options: Any) -> Callable[[F], F]:
        return self.declare("GET", path, **options)

    def post(self, path: str, **options: Any) -> Callable[[F], F]:
        return self.declare("POST", path, **options)

    def put(self, path: str, **options: Any) -> Callable[[F], F]:
        return self.declare("PUT", path, **options)

    def delete(self, path: str, **options: Any) -> Callable[[F], F]:
        return self.declare("DELETE", path, **options)


async def _tx(request: Request) -> Transaction:
    tx: Transaction = request.state.tx
    return tx


async def _reader(request: Request) -> Reader:
    reader: Reader = request.state.tx
    return reader


async def _command_in(request: Request) -> Command:
    command: Command = request.state.command
    return command


async def _caller_in(request: Request) -> Caller:
    caller: Caller = request.state.caller
    return caller


async def _runtime_in(request: Request) -> Runtime:
    runtime: Runtime = request.app.state.runtime
    return runtime


_GIVEN = {
    _tx: lambda request: request.scope["state"]["tx"],
    _reader: lambda request: request.scope["state"]["tx"],
    _command_in: lambda request: request.scope["state"]["command"],
    _caller_in: lambda request: request.scope["state"]["caller"],
    _runtime_in: lambda request: request.scope["app"].state.runtime,
}
"""What the house's own dependencies would answer."""

Tx = Annotated[Transaction, Depends(_tx)]
"""The command's transaction; committed after the endpoint returns and before the answer leaves."""
Read = Annotated[Reader, Depends(_reader)]
"""Autocommitted reads, in GET routes."""
CommandIn = Annotated[Command, Depends(_command_in)]
"""In confidential routes, which have no `Tx`."""
CallerIn = Annotated[Caller, Depends(_caller_in)]
RuntimeIn = Annotated[Any, Depends(_runtime_in)]
