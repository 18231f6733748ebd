"""A token is worth what its issuer signed, for as long as it said, and nothing else."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import KeySet, OKPKey

from shared.kernel.errors import Forbidden, Unauthenticated
from shared.kernel.ids import new_id
from shared.kit import auth
from shared.kit.auth import Authenticator, Caller, DevelopmentIssuer, Role, StaticKeys, require
from shared.kit.settings import CommonSettings


def _public(key: OKPKey) -> OKPKey:
    return OKPKey.import_key(key.as_dict(private=False), {"use": "sig", "alg": "Ed25519"})


ISSUER, AUDIENCE = "https://issuer.example", "mainstay"
ALGORITHMS = CommonSettings().oidc_algorithms
KEY = OKPKey.generate_key("Ed25519", {"use": "sig", "alg": "Ed25519"}, auto_kid=True)
PUBLIC = KeySet([_public(KEY)])


def an_authenticator(keys: Any = None) -> Authenticator:
    return Authenticator(keys or StaticKeys(PUBLIC), issuer=ISSUER, audience=AUDIENCE, algorithms=ALGORITHMS)


def claims(**others: Any) -> dict[str, Any]:
    now = int(time.time())
    return {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "ann",
        "roles": ["customer"],
        "iat": now,
        "exp": now + 600,
        **others,
    }


def signed(payload: dict[str, Any], *, key: OKPKey = KEY, **header: Any) -> str:
    return jwt.encode({"alg": "Ed25519", "kid": key.kid, **header}, payload, key, algorithms=["Ed25519"])


def _part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _without(name: str) -> dict[str, Any]:
    return {key: value for key, value in claims().items() if key != name}


async def test_a_good_token_says_who_is_calling() -> None:
    customer = new_id()
    caller = await an_authenticator().caller_of(f"Bearer {signed(claims(customer_id=str(customer)))}")
    assert (caller.subject, caller.roles, caller.customer_id) == ("ann", frozenset({Role.CUSTOMER}), customer)
    assert caller.only_customer == customer


STRANGER = OKPKey.generate_key("Ed25519", {"use": "sig", "alg": "Ed25519"}, auto_kid=True)
BAD_TOKENS: dict[str, Callable[[], str]] = {
    "expired": lambda: signed(claims(exp=int(time.time()) - auth.LEEWAY_SECONDS - 5)),
    "not yet valid": lambda: signed(claims(nbf=int(time.time()) + auth.LEEWAY_SECONDS + 5)),
    "issued in the future": lambda: signed(claims(iat=int(time.time()) + auth.LEEWAY_SECONDS + 5)),
    "never expiring": lambda: signed(_without("exp")),
    "expiring in words": lambda: signed(claims(exp="tomorrow")),
    "for another audience": lambda: signed(claims(aud="another")),
    "for no audience": lambda: signed(_without("aud")),
    "of another issuer": lambda: signed(claims(iss="https://elsewhere.example")),
    "of no issuer": lambda: signed(_without("iss")),
    "of nobody": lambda: signed(_without("sub")),
    "with an unknown key id": lambda: signed(claims(), kid="another"),
    "signed by a stranger": lambda: signed(claims(), key=STRANGER),
    "signed by a stranger with our key id": lambda: signed(claims(), key=STRANGER, kid=KEY.kid),
    "unsigned": lambda: f"{_part({'alg': 'none', 'kid': KEY.kid})}.{_part(claims())}.",
    "HS256 with the public key": lambda: _hs256_with_the_public_key(),
    "with a changed payload": lambda: _with_another_payload(),
    "with a customer that is no id": lambda: signed(claims(customer_id="me")),
    "garbage": lambda: "garbage",
    "three dots": lambda: "...",
    "no ASCII": lambda: "é.ü.ß",
    "nested JSON": lambda: base64.urlsafe_b64encode(b"[" * 5000).decode() + ".e30.e30",
    "too long": lambda: signed(claims(roles=["customer"] * 2000)),
}


def _hs256_with_the_public_key() -> str:
    head = f"{_part({'alg': 'HS256', 'kid': KEY.kid})}.{_part(claims())}"
    mac = hmac.new(json.dumps(KEY.as_dict(private=False)).encode(), head.encode(), hashlib.sha256).digest()
    return f"{head}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


def _with_another_payload() -> str:
    head, _payload, signature = signed(claims()).split(".")
    return f"{head}.{_part(claims(roles=['admin']))}.{signature}"


@pytest.mark.parametrize("kind", BAD_TOKENS)
async def test_a_bad_token_is_refused_without_saying_why(kind: str) -> None:
    with pytest.raises(Unauthenticated) as refused:
        await an_authenticator().caller_of(f"Bearer {BAD_TOKENS[kind]()}")
    assert refused.value.detail == "A valid bearer token is required."


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic YW5uOmFubg==", "Token x"])
async def test_anything_but_a_bearer_token_is_refused(header: str | None) -> None:
    with pytest.raises(Unauthenticated):
        await an_authenticator().caller_of(header)


@given(st.text(max_size=200))
async def test_no_text_is_taken_for_a_token_and_none_makes_it_stumble(text: str) -> None:
    with pytest.raises(Unauthenticated):
        await an_authenticator().caller_of(f"Bearer {text}")


@pytest.mark.parametrize("roles", ["admin", [], ["nobody"], [["admin"]], {"admin": True}, None, 7])
async def test_a_roles_claim_of_another_form_gives_no_role(roles: Any) -> None:
    try:
        caller = await an_authenticator().caller_of(f"Bearer {signed(claims(roles=roles))}")
    except Unauthenticated:
        return
    assert not caller.roles


async def test_remembered_claims_do_not_outlive_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    authenticator, now = an_authenticator(), time.time()
    token = signed(claims(exp=int(now) + 40))
    assert (await authenticator.caller_of(f"Bearer {token}")).subject == "ann"
    monkeypatch.setattr(time, "time", lambda: now + 40 + auth.LEEWAY_SECONDS + 1)
    with pytest.raises(Unauthenticated):
        await authenticator.caller_of(f"Bearer {token}")


async def test_a_key_taken_back_is_believed_for_a_minute_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    class Keys:
        present = PUBLIC

        async def keys(self, *, refresh: bool = False) -> KeySet:
            return self.present

    source = Keys()
    authenticator, now = an_authenticator(source), time.time()
    token = signed(claims())
    await authenticator.caller_of(f"Bearer {token}")
    source.present = KeySet([_public(STRANGER)])
    assert (await authenticator.caller_of(f"Bearer {token}")).subject == "ann"
    monkeypatch.setattr(time, "time", lambda: now + auth.REMEMBER_SECONDS + 1)
    with pytest.raises(Unauthenticated):
        await authenticator.caller_of(f"Bearer {token}")


async def test_a_key_rotated_in_is_looked_for_once_more() -> None:
    asked: list[bool] = []

    class Keys:
        async def keys(self, *, refresh: bool = False) -> KeySet:
            asked.append(refresh)
            return PUBLIC if refresh else KeySet([_public(STRANGER)])

    caller = await an_authenticator(Keys()).caller_of(f"Bearer {signed(claims())}")
    assert (caller.subject, asked) == ("ann", [False, True])


async def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "REMEMBER_AT_MOST", 3)
    authenticator = an_authenticator()
    for number in range(5):
        await authenticator.caller_of(f"Bearer {signed(claims(sub=str(number)))}")
    assert len(authenticator._remembered) == 3


@pytest.mark.parametrize("role", list(Role))
def test_staff_sees_every_customer_and_others_only_their_own(role: Role) -> None:
    mine = new_id()
    caller = Caller(subject="ann", roles=frozenset({role}), customer_id=mine)
    seen = None if role in auth.STAFF | {Role.SERVICE} else mine
    assert caller.only_customer == seen
    if seen:
        assert Caller(subject="ann", roles=frozenset({role})).only_customer == UUID(int=0)


def test_a_caller_without_the_role_is_told_which_roles_would_do() -> None:
    with pytest.raises(Forbidden, match="finance"):
        require(Caller(subject="ann", roles=frozenset({Role.CUSTOMER})), frozenset({Role.FINANCE}))


async def test_the_development_issuer_keeps_its_key_to_itself(tmp_path: Path) -> None:
    file = tmp_path / "keys" / "issuer.json"
    first = DevelopmentIssuer(issuer=ISSUER, audience=AUDIENCE, key_file=file)
    token = first.token(Role.ADMIN, subject="ann")
    again = DevelopmentIssuer(issuer=ISSUER, audience=AUDIENCE, key_file=file)
    caller = await an_authenticator(StaticKeys(again.keys)).caller_of(f"Bearer {token}")
    assert caller.roles == {Role.ADMIN}
    assert all("d" not in key for key in again.jwks()["keys"])
    assert file.stat().st_mode & 0o077 == 0
