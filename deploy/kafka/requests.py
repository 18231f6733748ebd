"""Requests of Kafka's protocol that aiokafka lacks: users' passwords and quotas, and the ACLs of a user all at once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence

from aiokafka.protocol.admin import CreateAclsRequest_v1, DeleteAclsRequest_v1
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Array,
    Boolean,
    CompactArray,
    CompactBytes,
    CompactString,
    Float64,
    Int8,
    Int16,
    Int32,
    Schema,
    String,
    TaggedFields,
)

from deploy.kafka.acls import Acl, User

SCRAM_SHA_512 = 2
ITERATIONS = 8192
"""Twice what Kafka asks for at least; passwords are made here, of 256 random bits."""
ANY_HOST, ALLOW, ANY = "*", 3, 1
NO_SUCH_USER = 91
RESOURCES = {"topic": 2, "group": 3}
PATTERNS = {"literal": 3, "prefixed": 4}
OPERATIONS = {"Read": 3, "Write": 4, "Create": 5, "Describe": 8, "DescribeConfigs": 10}


class CreateAcls(Request[CreateAclsRequest_v1]):  # type: ignore[misc]
    """All that a user may do; what is there already is no error."""

    API_KEY = 30

    def __init__(self, user: User) -> None:
        self._rows = [_row(user, acl, operation) for acl in user.acls for operation in acl.operations]

    def build(self, request_struct_class: type[CreateAclsRequest_v1]) -> CreateAclsRequest_v1:
        return request_struct_class(self._rows)


def _row(user: User, acl: Acl, operation: str) -> tuple[object, ...]:
    what = RESOURCES[acl.resource], acl.name, PATTERNS[acl.pattern]
    return *what, f"User:{user.name}", ANY_HOST, OPERATIONS[operation], ALLOW


class DeleteAcls(Request[DeleteAclsRequest_v1]):  # type: ignore[misc]
    """Whatever has been allowed to a user."""

    API_KEY = 31

    def __init__(self, user: User) -> None:
        self._filter = (ANY, None, ANY, f"User:{user.name}", None, ANY, ANY)

    def build(self, request_struct_class: type[DeleteAclsRequest_v1]) -> DeleteAclsRequest_v1:
        return request_struct_class([self._filter])


class _PasswordAnswer(Response):  # type: ignore[misc]
    API_KEY = 51
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "results",
            CompactArray(
                ("user", CompactString("utf-8")),
                ("error_code", Int16),
                ("error_message", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _PasswordRequest(RequestStruct):  # type: ignore[misc]
    FLEXIBLE_VERSION = True
    API_KEY = 51
    API_VERSION = 0
    RESPONSE_TYPE = _PasswordAnswer
    SCHEMA = Schema(
        (
            "deletions",
            CompactArray(("name", CompactString("utf-8")), ("mechanism", Int8), ("tags", TaggedFields)),
        ),
        (
            "upsertions",
            CompactArray(
                ("name", CompactString("utf-8")),
                ("mechanism", Int8),
                ("iterations", Int32),
                ("salt", CompactBytes),
                ("salted_password", CompactBytes),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class SetPassword(Request[_PasswordRequest]):  # type: ignore[misc]
    """Make the user, or give it another password; the password itself stays here."""

    API_KEY = 51

    def __init__(self, user: User, password: str) -> None:
        salt = os.urandom(32)
        salted = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS)
        self._upsertions: list[tuple[object, ...]] = [(user.name, SCRAM_SHA_512, ITERATIONS, salt, salted, {})]

    def build(self, request_struct_class: type[_PasswordRequest]) -> _PasswordRequest:
        return request_struct_class([], self._upsertions, {})


class DeletePassword(Request[_PasswordRequest]):  # type: ignore[misc]
    """The user is gone."""

    API_KEY = 51

    def __init__(self, user: User) -> None:
        self._deletions: list[tuple[object, ...]] = [(user.name, SCRAM_SHA_512, {})]

    def build(self, request_struct_class: type[_PasswordRequest]) -> _PasswordRequest:
        return request_struct_class(self._deletions, [], {})


_ENTITY = Array(("entity_type", String("utf-8")), ("entity_name", String("utf-8")))


class _QuotaAnswer(Response):  # type: ignore[misc]
    API_KEY = 49
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("entries", Array(("error_code", Int16), ("error_message", String("utf-8")), ("entity", _ENTITY))),
    )


class _QuotaRequest(RequestStruct):  # type: ignore[misc]
    API_KEY = 49
    API_VERSION = 0
    RESPONSE_TYPE = _QuotaAnswer
    SCHEMA = Schema(
        (
            "entries",
            Array(
                ("entity", _ENTITY),
                ("ops", Array(("key", String("utf-8")), ("value", Float64), ("remove", Boolean))),
            ),
        ),
        ("validate_only", Boolean),
    )


class SetQuota(Request[_QuotaRequest]):  # type: ignore[misc]
    """What each broker lets the user read in a second, or that there is no such bound any more."""

    API_KEY = 49

    def __init__(self, user: User, bytes_per_second: int | None) -> None:
        change = ("consumer_byte_rate", float(bytes_per_second or 0), bytes_per_second is None)
        self._entries: list[tuple[object, ...]] = [([("user", user.name)], [change])]

    def build(self, request_struct_class: type[_QuotaRequest]) -> _QuotaRequest:
        return request_struct_class(self._entries, False)


def errors_of(answer: Response) -> Sequence[tuple[int, str | None]]:
    """(code, message) of what was not done; that a user is gone already is no error."""
    told = answer.to_object()
    rows = next(rows for rows in told.values() if isinstance(rows, list))
    return [(row["error_code"], row["error_message"]) for row in rows if row["error_code"] not in {0, NO_SUCH_USER}]
