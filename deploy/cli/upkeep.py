"""Commands around an installation: topics, development tokens."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import httpx
import typer

from deploy import environment
from deploy.cli import topics
from deploy.cli.output import AsJson, Exit, complain, print_json
from deploy.environment import PREFIX, WrongSettings, explained
from deploy.opening import CannotOpen
from shared.kit.auth import Role
from shared.kit.runtime import development_issuer


def add_to(app: typer.Typer) -> None:
    panel = "Look after"
    app.add_typer(topics.commands, name="topics", rich_help_panel=panel)
    app.command("token", rich_help_panel=panel)(token)


def token(
    role: Annotated[Role, typer.Argument(help="Which development role.")],
    customer_id: Annotated[UUID | None, typer.Option(help="The customer this token belongs to.")] = None,
    partner_id: Annotated[UUID | None, typer.Option(help="The partner this token belongs to.")] = None,
    subject: Annotated[str | None, typer.Option(help="Who it is; default dev-ROLE.")] = None,
    url: Annotated[str | None, typer.Option(help="Ask the development issuer of a running installation.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print a development token: of this data folder's issuer, or of the installation at --url."""
    if url is not None:
        found = _token_from(url, role, customer_id, partner_id, subject)
    else:
        common = environment.read_common()
        if common.oidc_issuer is not None:
            raise WrongSettings(f"{PREFIX}OIDC_ISSUER: tokens come from that issuer, not from here")
        with explained(PREFIX):
            issuer = development_issuer(common)
        found = issuer.token(role, subject=subject, customer_id=customer_id, partner_id=partner_id)
    if as_json:
        print_json({"access_token": found, "token_type": "Bearer"})
    else:
        print(found)


def _token_from(url: str, role: Role, customer_id: UUID | None, partner_id: UUID | None, subject: str | None) -> str:
    form = {"grant_type": "client_credentials", "role": role.value}
    optional = {"customer_id": customer_id, "partner_id": partner_id, "subject": subject}
    form |= {name: str(value) for name, value in optional.items() if value is not None}
    try:
        answer = httpx.post(f"{url.rstrip('/')}/dev-issuer/token", data=form, timeout=10)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise CannotOpen(f"{url} does not answer ({type(error).__name__}).") from None
    if not answer.is_success:
        complain([f"{url} has no development issuer, or refuses this ({answer.status_code})."])
        raise typer.Exit(Exit.FAILED)
    return str(answer.json()["access_token"])
