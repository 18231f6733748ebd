"""Every route × every role × every kind of token × own and another's things: each cell is asserted."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import math
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jwt
from joserfc.jwk import OKPKey

from shared.kernel.ids import new_id
from shared.kit.auth import LEEWAY_SECONDS, LONGEST_TOKEN, Role
from tests.hostile.operations import missing_ids, path_of
from tests.hostile.planted import NOTHING_PARKED, Planted

REVOKED = OKPKey.generate_key("Ed25519", {"use": "sig", "alg": "Ed25519"}, auto_kid=True)


def _part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


OPENED_BY_A_SECRET = {"read_calendar_feed"}
"""Asks for no token, and for a secret in its query instead."""


def _private(key: OKPKey) -> Ed25519PrivateKey:
    assert isinstance(key.private_key, Ed25519PrivateKey)
    return key.private_key


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
                    expected = 422 if operation.name in OPENED_BY_A_SECRET else 200
                    assert answer.status_code == expected, (str(operation), kind)
                    continue
                assert (answer.status_code, answer.json()["code"]) == (401, "Unauthenticated"), (str(operation), kind)
                assert answer.headers["www-authenticate"].startswith("Bearer")
    assert await on_sqlite.rows() == before


def _strange_tokens(house: Planted) -> Iterator[tuple[str, str]]:
    """(kind, token) of somebody who would have every role; but for the kind, each would be good."""
    key = house.service.issuer._key
    far = int(time.time()) + LEEWAY_SECONDS + 60
    claims = {**_claims(house, Role.ADMIN), "roles": [role.value for role in Role]}
    theirs = REVOKED.as_dict(private=False)

    def signed(changes: dict[str, Any] | None = None, by: OKPKey = key, **header: Any) -> str:
        """By hand: the library would refuse to sign some of it."""
        head = {"alg": "Ed25519", "kid": key.kid, **header}
        head = {name: each for name, each in head.items() if each is not None}
        body = f"{_part(head)}.{_part(claims | (changes or {}))}"
        seal = base64.urlsafe_b64encode(_private(by).sign(body.encode())).decode().rstrip("=")
        return f"{body}.{seal}"

    yield "issued in the future", signed({"iat": far})
    yield "without an end", signed({"exp": None})
    for exp in ("tomorrow", str(far), True, [far], math.nan, math.inf, 1e308, 10**400, -1):
        yield f"ends at {str(exp)[:10]}", signed({"exp": exp})
    yield "from no number on", signed({"nbf": math.nan})
    yield "for two others", signed({"aud": ["one", "another"]})
    yield "for nearly us", signed({"aud": "mainstay2"})
    yield "for an object", signed({"aud": {"mainstay": True}})
    yield "of a list of issuers", signed({"iss": [claims["iss"]]})
    for subject in ("", "a\0b", "a\ud800b", "a\u202eb", "x" * 201, ["a"], None):
        yield f"of {subject!r:.10}", signed({"sub": subject})
    yield "for logging out", signed(typ="logout+jwt")
    yield "of a type that is no text", signed(typ=7)
    for crit in (["strange"], ["exp"], [], "exp"):
        yield f"critical {crit}", signed(crit=crit, strange=True, exp=far)
    yield "payload not encoded", signed(crit=["b64"], b64=False)
    yield "with its own key", signed(by=REVOKED, jwk=theirs)
    yield "with its own key and no id", signed(by=REVOKED, jwk=theirs, kid=None)
    for name in ("jku", "x5u"):
        pointer: dict[str, Any] = {name: "http://127.0.0.1:9/keys"}
        yield f"with a {name}", signed(by=REVOKED, kid=REVOKED.kid, **pointer)
    kids: tuple[Any, ...] = ("another", REVOKED.kid, 7, [], {}, "../../dev/null", "' OR 1=1 --")
    for kid in kids:
        yield f"by {kid!r:.10}", signed(by=REVOKED, kid=kid)
    yield "compressed", signed(zip="DEF")
    for alg in ("ed25519", "HS256", "RS256", "none", "None", None, ["Ed25519"]):
        yield f"alg {alg}", signed(alg=alg)
    yield "deep", signed({"deep": json.loads("[" * 900 + "]" * 900)}).replace(".", "", 1)
    yield "huge", signed({"more": "x" * LONGEST_TOKEN})
    yield "encrypted", "a.b.c.d.e"


async def test_a_strange_token_opens_nothing(on_sqlite: Planted) -> None:
    """Each at every fifth route, beginning with another one: the routes share the one verification."""
    client, before = on_sqlite.service.anonymous(), await on_sqlite.rows()
    closed = [operation for operation in on_sqlite.operations if operation.callers]
    for number, (kind, token) in enumerate(_strange_tokens(on_sqlite)):
        headers = {"authorization": f"Bearer {token}"}
        for operation in closed[number % 5 :: 5]:
            path = path_of(operation, {**on_sqlite.ids, "path": "x"})
            answer = await client.request(operation.method, path, headers=headers)
            assert answer.status_code == 401, (str(operation), kind, answer.text)
    assert await on_sqlite.rows() == before


async def test_a_token_for_us_and_for_another_is_good(on_sqlite: Planted) -> None:
    """Without which the tests before could refuse everything."""
    issuer = on_sqlite.service.issuer
    for changes in ({}, {"aud": ["another", "mainstay"]}):
        claims = _claims(on_sqlite, Role.SUPPORT, **changes)
        for typ in ("at+jwt", "application/at+jwt", "JWT"):
            header = {"alg": "Ed25519", "kid": issuer._key.kid, "typ": typ}
            token = jwt.encode(header, claims, issuer._key, ["Ed25519"])
            answer = await on_sqlite.service.anonymous().get(
                "/v1/decisions", headers={"authorization": f"Bearer {token}"}
            )
            assert answer.status_code == 200


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


OF_A_DECISION = frozenset({"explain_decision", "replay_decision"})
"""A service that has decided nothing yet has none to show."""
OF_NO_CUSTOMER = frozenset({"read_reach"})
"""Of a version of the agreement that is not in effect yet; there is none."""


async def test_everything_of_one_customer_is_there_for_it(on_sqlite: Planted) -> None:
    """Without which the next test would prove nothing."""
    client, ids = on_sqlite.signed_in(Role.CUSTOMER), on_sqlite.ids
    for operation in on_sqlite.operations:
        if operation.method != "GET" or Role.CUSTOMER not in operation.callers or not operation.names_in("path"):
            continue
        if on_sqlite.name in {"notify", "backup"} and operation.name in OF_A_DECISION:
            continue
        answer = await client.get(path_of(operation, ids))
        assert answer.status_code == 200, (str(operation), answer.text)


async def test_staff_see_every_customers_things(on_sqlite: Planted) -> None:
    for operation in on_sqlite.operations:
        if (
            operation.method != "GET"
            or not operation.names_in("path")
            or operation.name in OF_A_DECISION | OF_NO_CUSTOMER
        ):
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
