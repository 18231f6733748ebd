"""What a production installation finds outside: an OpenID Connect provider and a mail server. Run in a container.

`python outside.py ISSUER`: HTTP on 8080 (discovery, keys, tokens for whoever asks, what mail came), SMTP on 1025.
"""

from __future__ import annotations

import asyncio
import email
import email.policy
import sys
from pathlib import Path
from typing import Annotated
from uuid import UUID

import uvicorn
from aiosmtpd.smtp import SMTP, Envelope
from fastapi import APIRouter, FastAPI, Form

from shared.kit.auth import DevelopmentIssuer, Role

REALM = "/realms/mainstay"


class Mail:
    """Keeps what came, by subject."""

    def __init__(self) -> None:
        self.subjects: list[str] = []

    async def handle_DATA(self, _server: SMTP, _session: object, envelope: Envelope) -> str:
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        self.subjects.append(str(email.message_from_bytes(content, policy=email.policy.default)["subject"]))
        return "250 2.0.0 Taken"


def provider(signer: DevelopmentIssuer, mail: Mail) -> FastAPI:
    routes = APIRouter(prefix=REALM)

    @routes.get("/.well-known/openid-configuration")
    async def discovery() -> dict[str, str]:
        return {"issuer": signer.issuer, "jwks_uri": f"{signer.issuer}/jwks"}

    @routes.get("/jwks")
    async def jwks() -> dict[str, object]:
        return signer.jwks()

    @routes.post("/token")
    async def token(
        role: Annotated[Role, Form()],
        subject: Annotated[str, Form()],
        customer_id: Annotated[UUID | None, Form()] = None,
        partner_id: Annotated[UUID | None, Form()] = None,
    ) -> dict[str, str]:
        signed = signer.token(role, subject=subject, customer_id=customer_id, partner_id=partner_id)
        return {"access_token": signed}

    app = FastAPI()
    app.include_router(routes)

    @app.get("/mail")
    async def subjects() -> list[str]:
        return mail.subjects

    return app


async def main(issuer: str) -> None:
    mail = Mail()
    signer = DevelopmentIssuer(issuer=issuer, audience="mainstay", key_file=Path("/var/lib/mainstay/keys/issuer.json"))
    await asyncio.get_running_loop().create_server(lambda: SMTP(mail, hostname="outside"), "0.0.0.0", 1025)
    await uvicorn.Server(uvicorn.Config(provider(signer, mail), host="0.0.0.0", port=8080, log_level="warning")).serve()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
