"""Every route says who may call it and how it refuses, and every POST asks for its key."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Route

from deploy.site.app import site
from deploy.site.mailbox import Mailbox, MailboxAt
from shared.kernel.errors import Refusal
from shared.kit.auth import Role
from shared.kit.routing import Declared, HouseRoute
from shared.kit.settings import CommonSettings
from tests.structure.house import SERVICES, app_of, operations_of, routes_of

HEALTH = {"/livez", "/readyz", "/metrics"}
DOCUMENTATION = {"/openapi.json", "/docs", "/docs/oauth2-redirect"}
PAGES = HEALTH | {"/", "/asyncapi", "/docs/asyncapi.json", "/docs/asyncapi.yaml"}
ISSUER = {"/dev-issuer/.well-known/openid-configuration", "/dev-issuer/jwks", "/dev-issuer/token"}
AUDITED = {
    ("billing", "PUT", "/v1/customers/{customer_id}/billing-profile"),
    ("notify", "PUT", "/v1/customers/{customer_id}/contact"),
    ("notify", "PUT", "/v1/staff-contacts/{subject}"),
    ("notify", "DELETE", "/v1/staff-contacts/{subject}"),
    ("backup", "PUT", "/v1/servers/{server_id}/files/{path}"),
    ("backup", "DELETE", "/v1/servers/{server_id}/files/{path}"),
}
FOR_DEVELOPMENT = ISSUER | {"/mailbox", "/mailbox/messages"}


@pytest.mark.parametrize("service", SERVICES)
def test_every_route_declares_its_callers_and_its_refusals(service: str) -> None:
    silent = []
    for route in routes_of(app_of(service)):
        declared = getattr(route.endpoint, "__declared__", None)
        if not isinstance(route, HouseRoute) or not isinstance(declared, Declared):
            silent.append(f"{route.path}: use HouseRouter and name callers and refusals")
            continue
        assert all(isinstance(role, Role) for role in declared.callers), route.path
        assert all(issubclass(refusal, Refusal) for refusal in declared.refusals), route.path
    assert not silent


def test_every_command_without_a_key_is_known_to_write_an_audit_row() -> None:
    """A backup of the system holds up what claims a key or writes an audit row: see that a new one does, and add it."""
    found = {
        (service, method, path)
        for service in SERVICES
        for method, path, _operation in operations_of(service)
        if method not in {"GET", "POST"}
    }
    assert found == AUDITED


@pytest.mark.parametrize("service", SERVICES)
def test_only_health_and_documentation_go_round_the_declaration(service: str) -> None:
    plain = {route.path for route in app_of(service).routes if type(route) is Route}
    assert plain - HEALTH <= DOCUMENTATION
    assert plain >= HEALTH


@pytest.mark.parametrize("service", SERVICES)
def test_nothing_is_added_to_a_service_but_routes_that_declare_themselves(service: str) -> None:
    """Neither by `add_route` on a router, nor mounted, nor as a web socket."""
    strays = [
        f"{type(route).__name__} {getattr(route, 'path', '')}"
        for route in leaves_of(app_of(service))
        if not isinstance(route, HouseRoute) and getattr(route, "path", "") not in HEALTH | DOCUMENTATION
    ]
    assert not strays, "use HouseRouter"


def test_what_anyone_may_ask_around_the_services_is_listed_here(tmp_path: Path) -> None:
    """A page, a token or a letter that is served to anyone is so on purpose, and in production there is less of it."""
    assert around_the_services(CommonSettings(data_dir=tmp_path)) == PAGES | FOR_DEVELOPMENT
    production = CommonSettings(data_dir=tmp_path, mode="production", oidc_issuer="https://issuer.example")
    assert around_the_services(production) == PAGES


def around_the_services(common: CommonSettings) -> set[str]:
    async def ready() -> Mapping[str, str]:
        return {}

    served = {service: app_of(service) for service in SERVICES}
    mailbox = MailboxAt(Mailbox(common.data_dir / "mailbox"), "127.0.0.1", 25) if common.mode == "development" else None
    root = site(common, services=served, ready=ready, lifespan=lambda _app: nothing(), mailbox=mailbox)
    paths = {route.path for route in leaves_of(root)}
    references = {f"/{service}{rest}" for service in SERVICES for rest in ("", "/", "/docs")}
    assert references <= paths
    return {path for path in paths - references if not path.startswith("/assets/")}


@asynccontextmanager
async def nothing() -> AsyncIterator[None]:
    yield


def leaves_of(app: Any) -> Iterator[Any]:
    """Every route of whatever kind, those of included routers too."""
    for route in app.routes:
        if hasattr(route, "original_router"):
            yield from leaves_of(route.original_router)
        else:
            yield route


@pytest.mark.parametrize("service", SERVICES)
def test_every_post_requires_an_idempotency_key(service: str) -> None:
    without = [
        path
        for method, path, operation in operations_of(service)
        if method == "POST"
        and not any(
            parameter["name"] == "Idempotency-Key" and parameter["in"] == "header" and parameter["required"]
            for parameter in operation.get("parameters", [])
        )
    ]
    assert not without


@pytest.mark.parametrize("service", SERVICES)
def test_every_operation_is_described_named_once_and_lists_its_refusals(service: str) -> None:
    names: list[str] = []
    for method, path, operation in operations_of(service):
        assert operation.get("description"), f"{method} {path} has no docstring"
        assert operation["x-callers"], f"{method} {path} names no callers"
        assert path.startswith("/v1/"), path
        refused = {status for status in operation["responses"] if int(status) >= 400}
        assert refused, f"{method} {path} lists no refusal"
        for status in refused:
            assert "application/problem+json" in operation["responses"][status]["content"], f"{method} {path} {status}"
        names.append(operation["operationId"])
    assert len(names) == len(set(names)), sorted(name for name in names if names.count(name) > 1)


@pytest.mark.parametrize("service", SERVICES)
def test_a_refusal_is_named_after_the_fact_and_its_docstring_is_its_title(service: str) -> None:
    for route in routes_of(app_of(service)):
        for refusal in route.endpoint.__declared__.refusals:  # type: ignore[attr-defined]
            assert refusal.__doc__, f"{refusal.__name__} has no docstring, which is its public title"
            assert not refusal.__name__.endswith(("Error", "Exception")), refusal.__name__
            assert refusal.title().endswith("."), f"{refusal.__name__}: the title is a sentence"
