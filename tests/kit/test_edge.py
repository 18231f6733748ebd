"""The short way into a route gives what the framework would have given."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI

from shared.kit.auth import ANYONE, Role
from shared.kit.edge import ServiceApp
from shared.kit.fields import Body, Line, View
from shared.kit.routing import HouseRouter
from tests.structure.house import SERVICES, app_of, routes_of
from tests.support.service import ServiceUnderTest

BOOK = {"label": "a book"}


class Named(View):
    name: str


class Naming(Body):
    name: Line


def a_router() -> HouseRouter:
    routes = HouseRouter("/v1/things", tag="things")

    @routes.get("/new", callers=ANYONE)
    async def read_new() -> Named:
        return Named(name="the word")

    @routes.get("/{thing}", callers=ANYONE)
    async def read_thing(thing: str) -> Named:
        return Named(name=thing)

    @routes.get("/{thing}/parts/{part}", callers=ANYONE)
    async def read_part(thing: str, part: int) -> Named:
        return Named(name=f"{thing} {part}")

    @routes.get("/new/colour", callers=ANYONE)
    async def read_colour() -> Named:
        return Named(name="colour")

    return routes


@pytest.mark.parametrize(
    ("path", "name"),
    [("new", "the word"), ("old", "old"), ("new/parts/7", "new 7"), ("new/colour", "colour"), ("a%20b", "a b")],
)
async def test_a_word_goes_before_a_parameter_and_a_parameter_still_finds_its_way(
    sqlite_service: ServiceUnderTest, path: str, name: str
) -> None:
    app, router = sqlite_service.app, a_router()
    assert isinstance(app, ServiceApp)
    app.include_router(router)
    answer = await sqlite_service.anonymous().get(f"/v1/things/{path}")
    assert (answer.status_code, answer.json()) == (200, {"name": name})


async def test_two_routes_for_one_request_are_refused_at_the_start(sqlite_service: ServiceUnderTest) -> None:
    app = sqlite_service.app
    assert isinstance(app, ServiceApp)
    app.include_router(a_router())
    with pytest.raises(ValueError, match="declared twice"):
        app.include_router(a_router())


@pytest.mark.parametrize("service", SERVICES)
def test_every_route_without_a_slash_in_its_parameters_has_the_short_way(service: str) -> None:
    app = app_of(service)
    assert isinstance(app, ServiceApp)
    routes = [route for route in routes_of(app) if ":" not in route.path]
    assert len(routes) > 10
    for route in routes:
        for method in route.methods or ():
            way = app._paths.find(route.path.split("/"), method)
            assert way is not None, f"{method} {route.path}"
            assert way[0].route.path == route.path


@pytest.mark.parametrize(
    ("method", "path", "options"),
    [
        ("POST", "/v1/parcels", {"json": BOOK}),
        ("POST", "/v1/parcels", {"json": {"label": 7}}),
        ("POST", "/v1/parcels", {"json": {**BOOK, "surplus": 1}}),
        ("POST", "/v1/parcels", {"content": b'{"label": NaN}', "headers": {"content-type": "application/json"}}),
        ("POST", "/v1/parcels", {"content": b"{", "headers": {"content-type": "application/json"}}),
        ("POST", "/v1/parcels", {"content": b'{"label": "x"}', "headers": {"content-type": "text/plain"}}),
        ("POST", "/v1/parcels", {"content": b"", "headers": {"content-type": "application/json"}}),
        ("GET", "/v1/parcels", {}),
        ("GET", "/v1/parcels", {"params": {"limit": 1}}),
        ("GET", "/v1/parcels", {"params": {"limit": "x"}}),
        ("GET", "/v1/parcels/not-an-id", {}),
        ("GET", "/v1/parcels/", {}),
        ("PATCH", "/v1/parcels", {}),
        ("GET", "/v1/nowhere", {}),
    ],
)
async def test_the_short_way_and_the_framework_answer_alike(
    sqlite_service: ServiceUnderTest, monkeypatch: pytest.MonkeyPatch, method: str, path: str, options: dict[str, Any]
) -> None:
    client = sqlite_service.as_role(Role.SUPPORT)

    async def answer(key: str) -> tuple[int, Any, Any]:
        given = {**options, "headers": {**options.get("headers", {}), "idempotency-key": key}}
        found = await client.request(method, path, **given)
        body = found.json() if found.content else None
        return found.status_code, _without_ids(body), found.headers.get("content-type")

    short = await answer("by the short way")
    if short[0] == 201:
        options = {"json": {"label": "another"}}
        short = (short[0], {**short[1], "label": "another"}, short[2])
    _take_the_long_way(sqlite_service.app, monkeypatch)
    assert await answer("by the framework") == short


def _take_the_long_way(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have FastAPI's own handlers read, call and answer."""
    assert isinstance(app, ServiceApp)
    quick = app._paths
    monkeypatch.setattr("shared.kit.routing.directly", lambda _route, framework, _given: framework)

    def find(segments: list[str], method: str) -> Any:
        found = quick.find(segments, method)
        return found and (replace(found[0], handle=found[0].route.get_route_handler()), found[1])

    monkeypatch.setattr(app, "_paths", SimpleNamespace(find=find))


def _without_ids(body: Any) -> Any:
    return {name: value for name, value in body.items() if name not in {"id", "request_id"}} if body else body
