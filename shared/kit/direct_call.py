"""Calls an endpoint whose parameters are plain without the framework's solver (ADR 0019).

Only what fits at once goes this way: whatever does not validate, and every form of request that is not plain JSON,
is given to FastAPI's own handler, which alone says what is wrong with it.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi.dependencies.models import Dependant
from fastapi.exceptions import ResponseValidationError
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

Handler = Callable[[Request], Awaitable[Response]]
Given = Mapping[Any, Callable[[Request], Any]]

_JSON = re.compile(r"application/json(; ?charset=utf-8)?", re.IGNORECASE)
_NOTHING = object()


def directly(route: APIRoute, framework: Handler, given: Given) -> Handler:
    """The quick way into `route`, or `framework` where it is not plain; `given` answers dependencies itself."""
    if not _is_plain(route, given):
        return framework
    call: Any = route.dependant.call
    values_of = _reader_of(route.dependant, given)
    body, answer = route.body_field, route.response_field
    status = route.status_code or 200

    async def handle(request: Request) -> Response:
        if request.scope["query_string"]:
            return await framework(request)
        values = await values_of(request)
        if values is None:
            return await framework(request)
        if body is not None:
            value = await _body_of(request)
            if value is _NOTHING:
                return await framework(request)
            values[body.name], errors = body.validate(value, {}, loc=("body",))
            if errors:
                return await framework(request)
        result = await call(**values)
        if isinstance(result, Response):
            return result
        result, errors = answer.validate(result, {}, loc=("response",))  # type: ignore[union-attr]
        if errors:
            raise ResponseValidationError(errors=errors, body=None)
        content = answer.serialize_json(result, by_alias=True)  # type: ignore[union-attr]
        return Response(content, status_code=status, media_type="application/json")

    return handle


def _is_plain(route: APIRoute, given: Given) -> bool:
    takes_json = route.body_field is None or (
        len(route.dependant.body_params) == 1
        and not route._embed_body_fields
        and type(route.body_field.field_info).__name__ == "Body"
    )
    answers_json = route.response_field is not None and route.status_code != 204
    return takes_json and answers_json and _is_plain_dependant(route.dependant, given)


def _is_plain_dependant(dependant: Dependant, given: Given) -> bool:
    special = (
        dependant.header_params,
        dependant.cookie_params,
        dependant.websocket_param_name,
        dependant.http_connection_param_name,
        dependant.response_param_name,
        dependant.background_tasks_param_name,
        dependant.security_scopes_param_name,
    )
    return (
        not any(special)
        and inspect.iscoroutinefunction(dependant.call)
        and not any(query.field_info.is_required() for query in dependant.query_params)
        and all(each.call in given or _is_plain_dependant(each, given) for each in dependant.dependencies)
    )


def _reader_of(dependant: Dependant, given: Given) -> Callable[[Request], Awaitable[dict[str, Any] | None]]:
    """Reads what a function takes besides its body; None when something does not fit."""
    fixed = [(each.name, given[each.call]) for each in dependant.dependencies if each.call in given]
    nested = [
        (each.name, each.call, _reader_of(each, given)) for each in dependant.dependencies if each.call not in given
    ]
    paths = [(field.name, field.alias, field) for field in dependant.path_params]
    queries = [(field.name, field) for field in dependant.query_params]
    request_name = dependant.request_param_name

    async def read(request: Request) -> dict[str, Any] | None:
        values: dict[Any, Any] = {name: of(request) for name, of in fixed}
        for name, call, read_nested in nested:
            inner: Any = await read_nested(request)
            if inner is None:
                return None
            values[name] = await call(**inner)  # type: ignore[misc]
        for name, alias, field in paths:
            values[name], errors = field.validate(request.scope["path_params"][alias], {}, loc=("path", alias))
            if errors:
                return None
        for name, field in queries:
            values[name] = field.get_default()
        if request_name:
            values[request_name] = request
        return values

    return read


async def _body_of(request: Request) -> Any:
    if not _JSON.fullmatch(request.headers.get("content-type", "")):
        return _NOTHING
    try:
        return json.loads(await request.body())
    except (ValueError, RecursionError):
        return _NOTHING
