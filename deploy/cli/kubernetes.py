"""`mainstay kubernetes`: what an installation there needs once and nothing may write down."""

from __future__ import annotations

import base64
import hashlib
import secrets
from typing import Annotated, Any, Literal

import typer

from deploy.cli.output import print_json
from deploy.services import SERVICES
from shared.kit.master_keys import KEY_BYTES

PASSWORD_BYTES = 32
NAMESPACE = "mainstay"

commands = typer.Typer(help="What an installation on Kubernetes needs once.", no_args_is_help=True)

Data = dict[str, bytes]
Overlay = Literal["development", "production"]
Hostname = Annotated[str | None, typer.Option(help="Where PostgreSQL answers; default that of the overlay.")]
_REPOSITORIES_AT = {"adding": 8000, "deleting": 8001}
_DATABASE_AT: dict[Overlay, str] = {"development": "postgres", "production": "postgres-rw"}


@commands.command("secrets")
def print_secrets(
    overlay: Annotated[Overlay, typer.Argument(help="For which overlay.")],
    database_host: Hostname = None,
) -> None:
    """Print Secrets with new passwords and keys, for `kubectl create -f -`, which replaces none that is there."""
    made = secrets_of(overlay, database_host)
    print_json({"apiVersion": "v1", "kind": "List", "items": [_resource(name, data) for name, data in made.items()]})


def secrets_of(overlay: Overlay, database_host: str | None = None) -> dict[str, Data]:
    """Secret → key → a new value."""
    host = database_host or _DATABASE_AT[overlay]
    made = {f"{service}-database": _database(service, host) for service in SERVICES}
    if overlay == "development":
        return made | {"postgres": {"password": _password()}}
    made |= {name: {"key": secrets.token_bytes(KEY_BYTES)} for name in ("backup-key", "vault-key")}
    return made | {"system-passphrase": {"passphrase": _password()}} | _repositories()


def _database(service: str, host: str) -> Data:
    """Role and database have the same name."""
    name, password = f"mainstay_{service}", _password()
    url = f"postgresql://{name}:{password.decode()}@{host}:5432/{name}"
    return {"username": name.encode(), "password": password, "url": url.encode()}


def _repositories() -> dict[str, Data]:
    """For components/rest-server: two addresses of the same repositories, each with a password of its own."""
    users, urls = {}, {}
    for way, port in _REPOSITORIES_AT.items():
        password = _password()
        # As `htpasswd -s` writes it: of 32 random bytes nothing is found by trying.
        digest = base64.b64encode(hashlib.sha1(password, usedforsecurity=False).digest())
        users[way] = b"mainstay:{SHA}" + digest + b"\n"
        urls[way] = b"rest:http://mainstay:" + password + f"@rest-server:{port}/mainstay".encode()
    return {"rest-server": users, "backup-repositories": urls}


def _password() -> bytes:
    # Fit for a URL as it is.
    return secrets.token_urlsafe(PASSWORD_BYTES).encode()


def _resource(name: str, data: Data) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "namespace": NAMESPACE}
    kind = "Opaque"
    if "username" in data:
        # CloudNativePG gives the role this password, and follows when it changes.
        metadata["labels"] = {"cnpg.io/reload": "true"}
        kind = "kubernetes.io/basic-auth"
    coded = {key: base64.b64encode(value).decode() for key, value in data.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": kind, "data": coded}
