"""Who is calling: OIDC bearer tokens verified once and remembered briefly; and the development issuer's keys."""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OKPKey

from shared.kernel.errors import Forbidden, Unauthenticated, Unavailable
from shared.kit.key_files import content_of
from shared.kit.tracing import step

REMEMBER_SECONDS = 60
REMEMBER_AT_MOST = 10_000
LEEWAY_SECONDS = 30
LONGEST_TOKEN = 8_192
LONGEST_SUBJECT = 200
REFETCH_KEYS_AFTER_SECONDS = 60
REFETCH_KEYS_AT_MOST_EVERY_SECONDS = 10
RETRY_WITHOUT_KEYS_SECONDS = 1
KEYS_WITHOUT_ISSUER_SECONDS = 3600
LATEST_EXPIRY = 253_402_300_799  # the end of the year 9999
DEVELOPMENT_TOKEN_SECONDS = 8 * 3600


class Role(StrEnum):
    CUSTOMER = "customer"
    PARTNER = "partner"
    SUPPORT = "support"
    TECHNICIAN = "technician"
    FINANCE = "finance"
    ADMIN = "admin"
    SERVICE = "service"


STAFF = frozenset({Role.SUPPORT, Role.TECHNICIAN, Role.FINANCE, Role.ADMIN})
ANYONE: frozenset[Role] = frozenset()
"""Declared by routes that need no token."""
ACCESS_TOKENS = frozenset({"jwt", "at+jwt", "application/at+jwt"})
"""The `typ` of tokens for APIs; an issuer signs others (for logging out, say) with the same key."""


class IssuerAway(Unavailable):
    """The identity provider's keys cannot be read at the moment."""


@dataclass(frozen=True, kw_only=True)
class Caller:
    """A verified identity. `customer_id` and `partner_id` are claims of the token."""

    subject: str
    roles: frozenset[Role]
    customer_id: UUID | None = None
    partner_id: UUID | None = None
    expires_at: float = 0.0

    @property
    def is_staff(self) -> bool:
        return bool(self.roles & STAFF)

    @property
    def only_customer(self) -> UUID | None:
        """None for staff; otherwise the one customer whose things this caller may see (nil if it has none)."""
        if self.is_staff or Role.SERVICE in self.roles:
            return None
        return self.customer_id or UUID(int=0)


NOBODY = Caller(subject="anonymous", roles=frozenset())


class KeySource(Protocol):
    async def keys(self, *, refresh: bool = False) -> KeySet:
        """The issuer's public keys; raises IssuerAway."""
        ...


class StaticKeys:
    """Keys known in advance: the development issuer in its own process."""

    def __init__(self, keys: KeySet) -> None:
        self._keys = keys

    async def keys(self, *, refresh: bool = False) -> KeySet:
        return self._keys


class DiscoveredKeys:
    """Keys found by OpenID Connect Discovery, refreshed every minute and on an unknown key id.

    An issuer that is away is asked again after a while, by one request at a time; what it said last holds for an hour.
    """

    def __init__(self, issuer: str, *, jwks_url: str | None = None) -> None:
        """`jwks_url`: where the keys are, without discovery, for an issuer that cannot be reached under its name."""
        self._issuer = issuer.rstrip("/")
        self._jwks_url = jwks_url
        self._keys: KeySet | None = None
        self._fetched = self._tried = -math.inf
        self._fetching = asyncio.Lock()

    async def keys(self, *, refresh: bool = False) -> KeySet:
        wanted_after = REFETCH_KEYS_AT_MOST_EVERY_SECONDS if refresh else REFETCH_KEYS_AFTER_SECONDS
        if self._is_due(wanted_after) and (self._keys is None or not self._fetching.locked()):
            async with self._fetching:
                if self._is_due(wanted_after):
                    await self._fetch()
        if self._keys is None or time.monotonic() - self._fetched > KEYS_WITHOUT_ISSUER_SECONDS:
            raise IssuerAway()
        return self._keys

    def _is_due(self, wanted_after: float) -> bool:
        now = time.monotonic()
        pause = RETRY_WITHOUT_KEYS_SECONDS if self._keys is None else REFETCH_KEYS_AT_MOST_EVERY_SECONDS
        return now - self._fetched >= wanted_after and now - self._tried >= pause

    async def _fetch(self) -> None:
        try:
            with step("fetch signing keys", "CLIENT", {}):
                async with httpx.AsyncClient(timeout=5) as client:
                    where = self._jwks_url or await self._discovered(client)
                    jwks = (await client.get(where)).raise_for_status().json()
            self._keys = public_keys_in(jwks)
            self._fetched = time.monotonic()
        except (httpx.HTTPError, httpx.InvalidURL, JoseError, KeyError, ValueError, TypeError, AttributeError):
            pass  # Said by IssuerAway, once nothing that was heard before holds any more.
        finally:
            self._tried = time.monotonic()

    async def _discovered(self, client: httpx.AsyncClient) -> str:
        found = (await client.get(f"{self._issuer}/.well-known/openid-configuration")).raise_for_status().json()
        if found["issuer"].rstrip("/") != self._issuer:
            raise KeyError("issuer")
        return str(found["jwks_uri"])


def public_keys_in(jwks: dict[str, Any]) -> KeySet:
    """Those that can be used here: a key of a kind that is not known makes no other useless. Raises ValueError."""
    found = []
    for each in jwks["keys"]:
        with suppress(JoseError, KeyError, ValueError, TypeError):
            if each.get("kty") != "oct":
                found += KeySet.import_key_set({"keys": [each]}).keys
    if not found:
        raise ValueError("no key that can be used")
    return KeySet(found)


_UNREADABLE = (JoseError, ValueError, RecursionError)


class Authenticator:
    """Turns an Authorization header into a Caller; issuer, audience and algorithms are pinned."""

    def __init__(
        self,
        source: KeySource,
        *,
        issuer: str,
        audience: str,
        algorithms: Iterable[str],
        roles_claim: str = "roles",
    ) -> None:
        self._source = source
        self._algorithms = list(algorithms)
        self._roles_claim = roles_claim
        self._claims = jwt.JWTClaimsRegistry(
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": audience},
            exp={"essential": True},
            sub={"essential": True},
        )
        self._remembered: OrderedDict[bytes, tuple[float, Caller]] = OrderedDict()

    async def caller_of(
        self, authorization: str | None, *, at_first_sight: Callable[[], None] = lambda: None
    ) -> Caller:
        """The verified caller; raises Unauthenticated (without saying which check failed), IssuerAway.

        `at_first_sight` is called before anything but a remembered token is looked at, and may refuse.
        """
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token or len(token) > LONGEST_TOKEN:
            at_first_sight()
            raise Unauthenticated()
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        remembered = self._remembered.get(digest)
        if remembered and remembered[0] > time.time():
            return remembered[1]
        at_first_sight()
        caller = await self._verify(token)
        until = min(time.time() + REMEMBER_SECONDS, caller.expires_at)
        self._remembered[digest] = (until, caller)
        while len(self._remembered) > REMEMBER_AT_MOST:
            self._remembered.popitem(last=False)
        return caller

    async def _verify(self, token: str) -> Caller:
        try:
            claims = self._decode(token, await self._source.keys())
        except _UNREADABLE:
            # The key may have been rotated in since: look once more before refusing.
            try:
                claims = self._decode(token, await self._source.keys(refresh=True))
            except _UNREADABLE as error:
                raise Unauthenticated() from error
        return _caller(claims, self._roles_claim)

    def _decode(self, token: str, keys: KeySet) -> dict[str, Any]:
        decoded = jwt.decode(token, keys, algorithms=self._algorithms)
        if str(decoded.header.get("typ", "JWT")).lower() not in ACCESS_TOKENS or "crit" in decoded.header:
            raise ValueError("no access token, or one that asks for more than is understood here")
        self._claims.validate(decoded.claims)
        return decoded.claims


def require(caller: Caller, roles: frozenset[Role]) -> None:
    """Raises Forbidden unless the caller has one of `roles`."""
    if not caller.roles & roles:
        raise Forbidden("This needs one of the roles " + ", ".join(sorted(roles)) + ".")


def _caller(claims: dict[str, Any], roles_claim: str) -> Caller:
    try:
        listed, subject = claims.get(roles_claim, []), str(claims["sub"])
        if not isinstance(listed, list) or not 0 < len(subject) <= LONGEST_SUBJECT or not subject.isprintable():
            raise TypeError("roles are a list, and a subject is a text that is kept whole")
        if claims["exp"] > LATEST_EXPIRY:
            raise ValueError("an instant that no calendar has")
        return Caller(
            subject=subject,
            roles=frozenset(Role(name) for name in listed if name in set(Role)),
            customer_id=UUID(claims["customer_id"]) if claims.get("customer_id") else None,
            partner_id=UUID(claims["partner_id"]) if claims.get("partner_id") else None,
            expires_at=float(claims["exp"]),
        )
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise Unauthenticated() from error


class DevelopmentIssuer:
    """Signs tokens for the development roles; its key lives in the data folder. Never in production."""

    def __init__(self, *, issuer: str, audience: str, key_file: Path) -> None:
        self.issuer = issuer
        self._audience = audience
        self._key = _key_at(key_file)

    @property
    def keys(self) -> KeySet:
        """The public half."""
        return KeySet([OKPKey.import_key(self._key.as_dict(private=False))])

    def jwks(self) -> dict[str, Any]:
        return dict(self.keys.as_dict(private=False))

    def token(
        self,
        role: Role,
        *,
        subject: str | None = None,
        customer_id: UUID | None = None,
        partner_id: UUID | None = None,
        seconds: int = DEVELOPMENT_TOKEN_SECONDS,
    ) -> str:
        """A signed bearer token that lasts `seconds`."""
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "aud": self._audience,
            "sub": subject or f"dev-{role}",
            "roles": [role.value],
            "iat": now,
            "exp": now + seconds,
        }
        if customer_id:
            claims["customer_id"] = str(customer_id)
        if partner_id:
            claims["partner_id"] = str(partner_id)
        return jwt.encode({"alg": "Ed25519", "kid": self._key.kid}, claims, self._key, algorithms=["Ed25519"])


def fresh_development_key() -> bytes:
    """A JSON Web Key, as the development issuer keeps it in its file."""
    fresh = OKPKey.generate_key("Ed25519", {"use": "sig", "alg": "Ed25519"}, auto_kid=True)
    return json.dumps(fresh.as_dict(private=True)).encode()


def _key_at(path: Path) -> OKPKey:
    stored = json.loads(content_of(path, fresh_development_key))
    return OKPKey.import_key(stored, {"use": "sig", "alg": "Ed25519"})
