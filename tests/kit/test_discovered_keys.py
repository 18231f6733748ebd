"""Keys found by discovery, of a real issuer over HTTP that withdraws them, talks nonsense, hangs or is gone."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import OKPKey

from shared.kernel.errors import Unauthenticated
from shared.kit import auth
from shared.kit.auth import Authenticator, DiscoveredKeys, IssuerAway
from tests.infrastructure.waiting import eventually

UNUSABLE: list[Any] = [
    {"kty": "EC", "crv": "P-999", "x": "a", "y": "b", "kid": "new curve"},
    {"kty": "PQ", "kid": "new kind"},
    {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0", "kid": "a secret"},
    {},
]


class Issuer:
    """`listed` is what its JWKS says; `whole` replaces the document."""

    def __init__(self) -> None:
        self.key = OKPKey.generate_key("Ed25519", {"use": "sig", "alg": "Ed25519"}, auto_kid=True)
        self.listed: list[Any] = [self.key.as_dict(private=False)]
        self.whole: bytes | None = None
        self.answers = threading.Event()
        self.answers.set()
        self.asked = 0
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked += 1
                issuer.answers.wait(20)
                found: dict[str, Any] = {"keys": issuer.listed}
                if "openid" in self.path:
                    found = {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/jwks"}
                content = issuer.whole if issuer.whole is not None else json.dumps(found).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_arguments: Any) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def token(self) -> str:
        now = int(time.time())
        claims = {"iss": self.url, "aud": "mainstay", "sub": "ann", "roles": [], "iat": now, "exp": now + 600}
        return "Bearer " + jwt.encode({"alg": "Ed25519", "kid": self.key.kid}, claims, self.key, ["Ed25519"])


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    one = Issuer()
    thread = threading.Thread(target=one.server.serve_forever, args=(0.02,))
    thread.start()
    yield one
    one.answers.set()
    one.server.shutdown()
    thread.join()
    one.server.server_close()


@pytest.fixture
def keys(issuer: Issuer) -> DiscoveredKeys:
    return DiscoveredKeys(issuer.url)


def grown_older(keys: DiscoveredKeys, seconds: float) -> None:
    keys._fetched -= seconds
    keys._tried -= seconds


async def test_a_withdrawn_key_opens_nothing_two_minutes_later(
    issuer: Issuer, keys: DiscoveredKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    authenticator = Authenticator(keys, issuer=issuer.url, audience="mainstay", algorithms=["Ed25519"])
    token = issuer.token()
    assert (await authenticator.caller_of(token)).subject == "ann"
    now = time.time()
    issuer.listed = [OKPKey.generate_key("Ed25519", auto_kid=True).as_dict(private=False)]
    assert auth.REFETCH_KEYS_AFTER_SECONDS + auth.REMEMBER_SECONDS == 120
    grown_older(keys, auth.REFETCH_KEYS_AFTER_SECONDS)
    monkeypatch.setattr(time, "time", lambda: now + auth.REMEMBER_SECONDS + 1)
    with pytest.raises(Unauthenticated):
        await authenticator.caller_of(token)


async def test_keys_of_a_kind_that_is_not_known_make_no_other_useless(issuer: Issuer, keys: DiscoveredKeys) -> None:
    issuer.listed = [*UNUSABLE, *issuer.listed]
    assert [key.kid for key in (await keys.keys()).keys] == [issuer.key.kid]


async def test_keys_are_read_where_the_operator_says_when_the_issuer_has_another_name_here(issuer: Issuer) -> None:
    named = "https://outside.example/issuer"
    keys = DiscoveredKeys(named, jwks_url=f"{issuer.url}/jwks")
    assert [key.kid for key in (await keys.keys()).keys] == [issuer.key.kid]


@pytest.mark.parametrize(
    "whole", [b"", b"<html>", b"[]", b"null", b'{"keys": null}', b'{"keys": []}', b'{"keys": [7]}']
)
async def test_an_issuer_that_talks_nonsense_is_away_and_what_it_said_before_holds_for_an_hour(
    issuer: Issuer, keys: DiscoveredKeys, whole: bytes
) -> None:
    issuer.whole = whole
    with pytest.raises(IssuerAway):
        await DiscoveredKeys(issuer.url).keys()
    issuer.whole = None
    await keys.keys()
    issuer.whole = whole
    grown_older(keys, auth.KEYS_WITHOUT_ISSUER_SECONDS - 60)
    assert (await keys.keys()).keys
    grown_older(keys, 120)
    with pytest.raises(IssuerAway):
        await keys.keys()


async def test_while_the_issuer_hangs_one_request_waits_and_those_behind_it_do_not(
    issuer: Issuer, keys: DiscoveredKeys
) -> None:
    await keys.keys()
    asked = issuer.asked
    issuer.answers.clear()
    grown_older(keys, auth.REFETCH_KEYS_AFTER_SECONDS)
    first = asyncio.create_task(keys.keys())

    async def is_asked() -> bool:
        return issuer.asked > asked

    await eventually(is_asked)
    others = await asyncio.wait_for(asyncio.gather(*(keys.keys() for _ in range(20))), 2)
    assert len(others) == 20
    assert not first.done()
    assert issuer.asked == asked + 1
    issuer.answers.set()
    await first


async def test_an_issuer_that_is_gone_is_not_asked_for_every_bad_token(issuer: Issuer, keys: DiscoveredKeys) -> None:
    await keys.keys()
    grown_older(keys, auth.REFETCH_KEYS_AFTER_SECONDS)
    issuer.whole, asked = b"gone", issuer.asked
    for _ in range(20):
        await keys.keys(refresh=True)
    assert issuer.asked == asked + 1
