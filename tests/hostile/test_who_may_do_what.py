"""Every route × every role × every kind of token × own and another's things: each cell is asserted."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet, OKPKey

from shared.kernel.ids import new_id
from shared.kit.auth import LEEWAY_SECONDS, Authenticator, Role, StaticKeys
from shared.kit.runtime import authenticator_for
from tests.hostile.operations import missing_ids, path_of
from tests.hostile.planted import NOTHING_PARKED, Planted

REVOKED = OKPKey.generate_key("Ed25519", {"use": "sig", "alg": "Ed25519"}, auto_kid=True)


def _part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _claims(house: Planted, role: Role, **changes: Any) -> dict[str, Any]:
    now = int(time.time())
    return {
        "iss": house.service.runtime.common.issuer,
        "aud": "mainstay",
        "sub": f"hostile-{role}",
        "roles": [role.value],
        "customer_id": str(house.customer_id),
        "iat": now,
        "exp": now + 600,
        **changes,
    }


def _bad_headers(house: Planted, role: Role) -> Iterator[tuple[str, str | None]]:
    """(kind, Authorization header); every one would be that role's if it were believed."""
    key = house.service.issuer._key
    late, early = int(time.time()) - LEEWAY_SECONDS - 60, int(time.time()) + LEEWAY_SECONDS + 60

    def signed(claims: dict[str, Any], by: OKPKey = key, **header: Any) -> str:
        return jwt.encode({"alg": "Ed25519", "kid": by.kid, **header}, claims, by, algorithms=["Ed25519"])

    def with_the_public_key_as_secret() -> str:
        public = json.dumps(house.service.issuer.jwks()["keys"][0]).encode()
        body = f"{_part({'alg': 'HS256', 'kid': key.kid})}.{_part(_claims(house, role))}"
        seal = base64.urlsafe_b64encode(hmac.new(public, body.encode(), hashlib.sha256).digest()).decode().rstrip("=")
        return f"{body}.{seal}"

    claims = _claims(house, role)
    good = signed(claims)
    yield "none", None
    yield "another scheme", f"Basic {good}"
    yield "expired", f"Bearer {signed({**claims, 'exp': late, 'iat': late - 600})}"
    yield "not yet valid", f"Bearer {signed({**claims, 'nbf': early})}"
    yield "wrong audience", f"Bearer {signed({**claims, 'aud': 'another'})}"
    yield "wrong issuer", f"Bearer {signed({**claims, 'iss': 'https://elsewhere.example'})}"
    yield "alg none", f"Bearer {_part({'alg': 'none', 'kid': key.kid})}.{_part(claims)}."
    yield "symmetric for asymmetric", f"Bearer {with_the_public_key_as_secret()}"
    yield "revoked key", f"Bearer {signed(claims, by=REVOKED)}"
    yield "revoked key under a living one's id", f"Bearer {signed(claims, by=REVOKED, kid=key.kid)}"


async def test_a_bad_token_opens_nothing_to_anybody(on_sqlite: Planted) -> None:
    client, before = on_sqlite.service.anonymous(), await on_sqlite.rows()
    for role in Role:
        for kind, header in _bad_headers(on_sqlite, role):
            for operation in on_sqlite.operations:
                headers = {"authorization": header} if header else {}
                path = path_of(operation, {**on_sqlite.ids, "path": "x"})
                answer = await client.request(operation.method, path, headers=headers)
                if not operation.callers:
                    assert answer.status_code == 200, (str(operation), kind)
                    continue
                assert (answer.status_code, answer.json()["code"]) == (401, "Unauthenticated"), (str(operation), kind)
                assert answer.headers["www-authenticate"].startswith("Bearer")
    assert await on_sqlite.rows() == before


async def test_a_route_is_open_to_its_callers_and_to_nobody_else(on_sqlite: Planted) -> None:
    ids = missing_ids(on_sqlite.ids, new_id)
    before = await on_sqlite.rows()
    for role in Role:
        client = on_sqlite.signed_in(role)
        for operation in on_sqlite.operations:
            answer = await client.request(operation.method, path_of(operation, ids))
            allowed = not operation.callers or role in operation.callers
            code = answer.json().get("code") if answer.status_code >= 400 else None
            assert answer.status_code != 401, (str(operation), role)
            assert (code != "Forbidden") == allowed, (str(operation), role, answer.text)
            assert (answer.status_code == 403) <= (not allowed), (str(operation), role, answer.text)
    assert await on_sqlite.rows() == before


async def test_several_roles_and_unknown_ones_give_no_more_than_each(on_sqlite: Planted) -> None:
    issuer = on_sqlite.service.issuer
    for roles in ([], ["root"], ["customer", "root"], "admin"):
        claims = _claims(on_sqlite, Role.CUSTOMER, roles=roles)
        token = jwt.encode({"alg": "Ed25519", "kid": issuer._key.kid}, claims, issuer._key, algorithms=["Ed25519"])
        for operation in on_sqlite.operations:
            if not operation.callers or (roles == ["customer", "root"] and Role.CUSTOMER in operation.callers):
                continue
            path = path_of(operation, on_sqlite.ids | {"path": "x"})
            answer = await on_sqlite.service.anonymous().request(
                operation.method, path, headers={"authorization": f"Bearer {token}"}
            )
            assert answer.status_code in {401, 403}, (str(operation), roles)


async def test_everything_of_one_customer_is_there_for_it(on_sqlite: Planted) -> None:
    """Without which the next test would prove nothing."""
    client, ids = on_sqlite.signed_in(Role.CUSTOMER), on_sqlite.ids
    for operation in on_sqlite.operations:
        if operation.method != "GET" or Role.CUSTOMER not in operation.callers or not operation.names_in("path"):
            continue
        if on_sqlite.name in {"notify", "backup"} and operation.name == "read_decision":
            continue
        answer = await client.get(path_of(operation, ids))
        assert answer.status_code == 200, (str(operation), answer.text)


async def test_staff_see_every_customers_things(on_sqlite: Planted) -> None:
    for operation in on_sqlite.operations:
        if operation.method != "GET" or not operation.names_in("path") or operation.name == "read_decision":
            continue
        if NOTHING_PARKED.keys() & set(operation.names_in("path")):
            continue
        for role in operation.callers - {Role.CUSTOMER, Role.PARTNER}:
            answer = await on_sqlite.signed_in(role).get(path_of(operation, on_sqlite.ids))
            assert answer.status_code == 200, (str(operation), role, answer.text)


async def test_a_partner_reads_only_its_own_stream(on_sqlite: Planted) -> None:
    if on_sqlite.name != "notify":
        pytest.skip("only notify knows partners")
    nobody = on_sqlite.service.as_role(Role.PARTNER)
    another = on_sqlite.service.as_role(Role.PARTNER, partner_id=new_id())
    for client in (nobody, another):
        assert (await client.get("/v1/events")).json()["code"] == "NoSuchPartner"
        links = await client.get("/v1/partner-links", params={"partner_id": str(on_sqlite.ids["partner_id"])})
        assert links.json()["items"] == []
    own = await on_sqlite.signed_in(Role.PARTNER).get("/v1/partner-links")
    assert {UUID(item["partner_id"]) for item in own.json()["items"]} == {on_sqlite.ids["partner_id"]}


async def test_a_key_that_is_withdrawn_opens_nothing_once_what_is_remembered_has_run_out(on_sqlite: Planted) -> None:
    """The issuer withdraws its key while a token signed with it is still in use."""
    runtime, issuer = on_sqlite.service.runtime, on_sqlite.service.issuer
    there = runtime.authenticator
    token = issuer.token(Role.SUPPORT)
    withdrawn: Authenticator = authenticator_for(runtime.common, StaticKeys(KeySet([REVOKED])))
    client = on_sqlite.service.anonymous()
    assert (await client.get("/v1/decisions", headers={"authorization": f"Bearer {token}"})).status_code == 200
    runtime.authenticator = withdrawn
    try:
        answer = await client.get("/v1/decisions", headers={"authorization": f"Bearer {token}"})
        assert answer.status_code == 401
    finally:
        runtime.authenticator = there
