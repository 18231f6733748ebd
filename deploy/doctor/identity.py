"""The OpenID Connect issuer whose tokens are believed: discovery, keys and algorithms."""

from __future__ import annotations

from typing import Any

import httpx

from deploy.doctor.finding import Finding, Patient, error, ok
from shared.kit.auth import public_keys_in

PART = "identity provider"
ANSWER_SECONDS = 4
VARIABLE = "MAINSTAY_OIDC_ISSUER"
CORRECT = f"correct {VARIABLE} (or MAINSTAY_OIDC_JWKS_URL)"


async def look(patient: Patient) -> list[Finding]:
    issuer = patient.common.oidc_issuer
    if issuer is None:
        # In production that is said about the settings.
        return [] if patient.in_production else [ok(PART, "the development issuer, which comes with the front")]
    told: dict[str, Any] = {}
    address = patient.common.oidc_jwks_url or f"{issuer.rstrip('/')}/.well-known/openid-configuration"
    async with httpx.AsyncClient(timeout=ANSWER_SECONDS) as client:
        try:
            found = await _json(client, address)
            if patient.common.oidc_jwks_url is None:
                told = found
                if str(told["issuer"]).rstrip("/") != issuer.rstrip("/"):
                    return [_wrong(f"{address} speaks for another issuer", f"set {VARIABLE} to the issuer it names")]
                found = await _json(client, str(told["jwks_uri"]))
            keys = public_keys_in(found)
        except (httpx.HTTPError, httpx.InvalidURL) as trouble:
            return [_away(address, trouble)]
        except (ValueError, KeyError, TypeError, AttributeError):
            return [_wrong(f"{address} leads to no key that can be used", f"{CORRECT}, or have it publish its keys")]
    accepted, offered = set(patient.common.oidc_algorithms), told.get("id_token_signing_alg_values_supported")
    if isinstance(offered, list) and not accepted & set(map(str, offered)):
        said = f"it signs with {', '.join(map(str, offered))}, and accepted are {', '.join(sorted(accepted))}"
        return [_wrong(said, "set MAINSTAY_OIDC_ALGORITHMS to what it signs with, or have it sign with one of these")]
    return [ok(PART, f"{issuer} answers, with {len(keys.keys)} key(s)")]


async def _json(client: httpx.AsyncClient, address: str) -> Any:
    return (await client.get(address)).raise_for_status().json()


def _away(address: str, trouble: Exception) -> Finding:
    if isinstance(trouble, httpx.HTTPStatusError):
        told = f"{trouble.request.url} answers {trouble.response.status_code}"
        return _wrong(told, f"{CORRECT}: discovery is asked for right below it")
    if "CERTIFICATE_VERIFY_FAILED" in str(trouble):
        return _wrong(
            f"the certificate of {address} is not trusted", "set SSL_CERT_FILE to its authority's certificates"
        )
    told = f"{address} does not answer ({type(trouble).__name__})"
    return _wrong(told, f"look whether it runs and can be reached from here, or {CORRECT}")


def _wrong(found: str, remedy: str) -> Finding:
    return error(PART, found, remedy)
