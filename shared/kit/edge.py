"""A service's way in: routes of the house are found by the segments of their path and answered directly (ADR 0019)."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from shared.kit import problems, telemetry
from shared.kit.routing import Handler, HouseRoute
from shared.kit.runtime import Runtime


class ServiceApp(FastAPI):
    """FastAPI declares, describes and calls the routes; what comes before a route's handler is done here, once.

    Whatever is not found here (documentation, wrong methods, paths with slashes inside a parameter) is the framework's.
    """

    def __init__(self, runtime: Runtime, **options: Any) -> None:
        super().__init__(**options)
        self.state.runtime = runtime
        self._paths = _Node()
        self._observed = telemetry.Telemetry(self._answer, service=runtime.name, tracing=runtime.database.tracing)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (self._observed if scope["type"] == "http" else super().__call__)(scope, receive, send)

    def include_router(self, router: APIRouter, **options: Any) -> None:
        """As FastAPI's, and its routes of the house are found without going through the framework's layers."""
        super().include_router(router, **options)
        if options:
            return  # Under a prefix, say, the routes are not what they declare.
        for route in router.routes:
            if isinstance(route, HouseRoute) and ":" not in route.path:
                self._paths.add(route)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._paths.find(scope["path"].removeprefix(scope.get("root_path", "")).split("/"), scope["method"])
        if found is None:
            await super().__call__(scope, receive, send)
            return
        way, values = found
        scope.update(app=self, route=way.route, path_params=dict(zip(way.names, values, strict=True)))
        request = Request(scope, receive, send)
        # Where FastAPI's handler leaves what is to be closed after it, such as uploaded files.
        async with AsyncExitStack() as closing:
            scope["fastapi_middleware_astack"] = closing
            scope["fastapi_inner_astack"] = scope["fastapi_function_astack"] = closing
            try:
                response = await way.handle(request)
            except Exception as error:
                response = problems.answer(request, error)
        await response(scope, receive, send)


@dataclass(frozen=True, slots=True)
class _Way:
    route: HouseRoute
    handle: Handler
    names: tuple[str, ...]


@dataclass(slots=True)
class _Node:
    """What may follow after some segments of a path: a word before a parameter."""

    words: dict[str, _Node] = field(default_factory=dict)
    parameter: _Node | None = None
    ways: dict[str, _Way] = field(default_factory=dict)

    def add(self, route: HouseRoute) -> None:
        """Raises ValueError where two routes would answer the same request."""
        node, names = self, []
        for segment in route.path.split("/"):
            if segment.startswith("{"):
                names.append(segment[1:-1])
                node.parameter = node.parameter or _Node()
                node = node.parameter
            else:
                node = node.words.setdefault(segment, _Node())
        for method in route.methods or ():
            if method in node.ways:
                raise ValueError(f"{method} {route.path} is declared twice")
            node.ways[method] = _Way(route, route.get_route_handler(), tuple(names))

    def find(self, segments: list[str], method: str, at: int = 0) -> tuple[_Way, list[str]] | None:
        if at == len(segments):
            way = self.ways.get(method)
            return None if way is None else (way, [])
        segment = segments[at]
        word = self.words.get(segment)
        found = word.find(segments, method, at + 1) if word is not None else None
        if found is None and self.parameter is not None and segment:
            found = self.parameter.find(segments, method, at + 1)
            if found is not None:
                found[1].insert(0, segment)
        return found
