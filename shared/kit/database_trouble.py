"""What a driver complains of, as refusals that the edge can answer; never with the values of a row."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Any

import asyncpg
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError

from shared.kernel.errors import Conflict, NoRoom, Unavailable


class DatabaseAway(Unavailable):
    """The database does not answer at the moment; nothing was stored."""


class OutcomeUnknown(DatabaseAway):
    """The database went away while it stored this; the same request with the same key finds out and completes it."""


class LockedByAnother(Conflict):
    """Somebody else is changing the same thing right now; try again."""


class translated:
    """Turn the driver's complaints into refusals the edge can answer; put around database calls only."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is not None:
            _raise_translated(error)


_LOCK_STATES = {"55P03", "40P01", "40001"}  # lock_not_available, deadlock_detected, serialization_failure
_DISK_FULL = "53100"
_AWAY_CLASSES = ("08", "57", "53", "XX")  # connection, operator intervention, resources, internal


def _raise_translated(error: BaseException) -> None:
    if isinstance(error, asyncio.CancelledError):
        return
    if isinstance(error, DBAPIError):  # from SQLAlchemy's own connections, which migrations use
        _raise_translated_sqlalchemy(error)
    elif isinstance(error, sqlite3.Error):
        _raise_translated_sqlite(error)
    elif isinstance(error, asyncpg.PostgresError):
        _raise_translated_postgresql(error)
    elif isinstance(error, asyncpg.DataError):
        # Found before it was sent; its text repeats the value.
        raise ValueError("an argument does not fit its column") from None
    elif isinstance(error, asyncpg.InterfaceError | asyncpg.InternalClientError | OSError | TimeoutError):
        raise DatabaseAway() from error


def _raise_translated_sqlalchemy(error: DBAPIError) -> None:
    original: Any = error.orig
    cause = getattr(original, "__cause__", None)
    for one in (error, original):
        _forget_values(one)
    if isinstance(original, sqlite3.Error):
        _raise_refusal_of_sqlite(original)
    elif isinstance(cause, asyncpg.PostgresError):
        _forget_values(cause)
        _raise_refusal_of_state(cause)
    if error.connection_invalidated or (
        isinstance(error, InterfaceError | OperationalError) and not isinstance(original, sqlite3.Error)
    ):
        raise DatabaseAway() from error


def _raise_translated_postgresql(error: asyncpg.PostgresError) -> None:
    _forget_values(error)
    _raise_refusal_of_state(error)
    kind = IntegrityError if isinstance(error, asyncpg.IntegrityConstraintViolationError) else DBAPIError
    raise kind(None, None, error) from error


def _raise_refusal_of_state(error: asyncpg.PostgresError) -> None:
    state: str = error.sqlstate or ""
    if state in _LOCK_STATES:
        raise LockedByAnother() from error
    if state == _DISK_FULL:
        raise NoRoom() from error
    if state.startswith(_AWAY_CLASSES):
        raise DatabaseAway() from error


def _forget_values(error: Any) -> None:
    """Drop PostgreSQL's DETAIL, which repeats the row: errors are logged, and rows hold personal data."""
    error.args = tuple(str(argument).split("\nDETAIL:")[0] for argument in error.args)
    if getattr(error, "detail", None):
        error.detail = None


def _raise_translated_sqlite(error: sqlite3.Error) -> None:
    _raise_refusal_of_sqlite(error)
    kinds: dict[type, type[DBAPIError]] = {
        sqlite3.IntegrityError: IntegrityError,
        sqlite3.OperationalError: OperationalError,
    }
    raise kinds.get(type(error), DBAPIError)(None, None, error) from error


def _raise_refusal_of_sqlite(error: sqlite3.Error) -> None:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        raise LockedByAnother() from error
    if code == sqlite3.SQLITE_FULL:
        raise NoRoom() from error
    # SQLITE_ERROR is a statement that is wrong; the other operational errors are the disk's.
    if isinstance(error, sqlite3.OperationalError) and code != sqlite3.SQLITE_ERROR:
        raise DatabaseAway() from error
