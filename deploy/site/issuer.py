"""The development issuer over HTTP: discovery, keys, and tokens for anyone who asks. Never in production."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Form
from pydantic import BaseModel

from shared.kit.auth import DEVELOPMENT_TOKEN_SECONDS, DevelopmentIssuer, Role


class Discovery(BaseModel):
    issuer: str
    jwks_uri: str
    token_endpoint: str
    grant_types_supported: list[str] = ["client_credentials"]
    response_types_supported: list[str] = ["token"]
    subject_types_supported: list[str] = ["public"]
    id_token_signing_alg_values_supported: list[str] = ["Ed25519"]


class Token(BaseModel):
    access_token: str
    token_type: str = "Bearer"  # noqa: S105
    expires_in: int = DEVELOPMENT_TOKEN_SECONDS


Name = Annotated[str | None, Form(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$")]


def issuer_routes(issuer: DevelopmentIssuer) -> APIRouter:
    routes = APIRouter(prefix="/dev-issuer", tags=["development"])

    @routes.get("/.well-known/openid-configuration")
    async def discovery() -> Discovery:
        return Discovery(
            issuer=issuer.issuer, jwks_uri=f"{issuer.issuer}/jwks", token_endpoint=f"{issuer.issuer}/token"
        )

    @routes.get("/jwks")
    async def jwks() -> dict[str, object]:
        return issuer.jwks()

    @routes.post("/token")
    async def token(
        grant_type: Annotated[Literal["client_credentials"], Form()],
        role: Annotated[Role, Form()],
        subject: Name = None,
        customer_id: Annotated[UUID | None, Form()] = None,
        partner_id: Annotated[UUID | None, Form()] = None,
    ) -> Token:
        return Token(access_token=issuer.token(role, subject=subject, customer_id=customer_id, partner_id=partner_id))

    return routes
