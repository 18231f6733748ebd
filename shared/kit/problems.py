"""Refusals as RFC 9457 problem documents; the only place that knows which HTTP status a refusal has."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from shared.kernel import errors

STATUS: list[tuple[type[errors.Refusal], int]] = [
    (errors.Unauthenticated, 401),
    (errors.Forbidden, 403),
    (errors.NotFound, 404),
    (errors.Gone, 410),
    (errors.TooLarge, 413),
    (errors.WrongMediaType, 415),
    (errors.Conflict, 409),
    (errors.Invalid, 422),
    (errors.Unavailable, 503),
]
MOST_FIELD_ERRORS = 20

log = structlog.get_logger("problems")


class TooManyRequests(errors.Refusal):
    """This caller asks too often; go on after the seconds that Retry-After names."""

    def __init__(self, *, retry_after_seconds: int = 1) -> None:
        super().__init__()
        self.retry_after_seconds = retry_after_seconds


class BodyTooSlow(errors.Refusal):
    """The body did not arrive in time."""


class BodyCutShort(errors.Refusal):
    """The connection ended before the body was complete."""


class TooBusy(errors.Unavailable):
    """Too many large bodies are being received; try again later."""


class TookTooLong(errors.Unavailable):
    """This took too long and was given up; the same request with the same key finds out whether it was stored."""


STATUS += [(TooManyRequests, 429), (BodyTooSlow, 408)]


class MalformedRequest(errors.Invalid):
    """The request does not have the form that this endpoint takes."""


class NoSuchPath(errors.NotFound):
    """There is nothing at this path."""


class MethodNotAllowed(errors.Refusal):
    """This path does not take that method."""


class UnexpectedFault(errors.Refusal):
    """Something went wrong on our side; nothing was stored."""


class FieldError(BaseModel):
    field: str = Field(description="dotted path of the input, e.g. `amount.currency`")
    reason: str


class Problem(BaseModel):
    """RFC 9457 problem details. `code` is stable; `clause` cites the agreement where one decides."""

    type: str
    title: str
    status: int
    detail: str
    instance: str | None = None
    code: str
    clause: str | None = None
    agreement_version: str | None = None
    request_id: str | None = None
    errors: list[FieldError] | None = None
    facts: dict[str, Any] | None = None


class ProblemResponse(Response):
    media_type = "application/problem+json"


def status_of(refusal: type[errors.Refusal]) -> int:
    return next((status for kind, status in STATUS if issubclass(refusal, kind)), 400)


def problem_of(refusal: errors.Refusal, request: Request, *, status: int | None = None) -> Response:
    """The answer for a refusal."""
    code = status or status_of(type(refusal))
    body = Problem(
        type=f"urn:mainstay:problem:{refusal.code()}",
        title=refusal.title(),
        status=code,
        detail=refusal.detail,
        instance=request.scope["path"],
        code=refusal.code(),
        clause=refusal.cited_clause,
        agreement_version=refusal.agreement_version,
        request_id=request.scope.get("state", {}).get("request_id"),
        errors=[FieldError(field=refusal.field, reason=refusal.detail)] if refusal.field else None,
        facts=refusal.facts or None,
    )
    return _answer(body, headers_of(refusal))


def headers_of(refusal: errors.Refusal) -> dict[str, str]:
    if isinstance(refusal, errors.Unavailable | TooManyRequests):
        return {"retry-after": str(refusal.retry_after_seconds)}
    if isinstance(refusal, errors.Unauthenticated):
        return {"www-authenticate": 'Bearer realm="mainstay"'}
    return {}


def responses(refusals: Iterable[type[errors.Refusal]]) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI `responses` of a route that may refuse in these ways."""
    by_status: dict[int, list[type[errors.Refusal]]] = {}
    for refusal in sorted(set(refusals), key=lambda kind: kind.__name__):
        by_status.setdefault(status_of(refusal), []).append(refusal)
    return {
        status: {
            "description": "; ".join(f"{kind.code()}: {kind.title()}" for kind in kinds),
            "content": {
                "application/problem+json": {
                    "schema": {"$ref": "#/components/schemas/Problem"},
                    "examples": {
                        kind.code(): {
                            "value": {
                                "type": f"urn:mainstay:problem:{kind.code()}",
                                "title": kind.title(),
                                "status": status,
                                "detail": kind.title(),
                                "code": kind.code(),
                                **({"clause": kind.clause} if kind.clause else {}),
                            }
                        }
                        for kind in kinds
                    },
                }
            },
        }
        for status, kinds in sorted(by_status.items())
    }


def install(app: FastAPI) -> None:
    """Answer every refusal, malformed request and surprise of `app` with a problem document."""

    async def answered(request: Request, error: Exception) -> Response:
        return answer(request, error)

    for kind in (errors.Refusal, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, answered)


def answer(request: Request, error: Exception) -> Response:
    """The problem document for whatever was raised."""
    if isinstance(error, errors.Refusal):
        return problem_of(error, request)
    if isinstance(error, RequestValidationError):
        return _malformed(request, error)
    if isinstance(error, HTTPException):
        return _framework(request, error)
    return _surprised(request, error)


def _malformed(request: Request, error: RequestValidationError) -> Response:
    # Never echo the input: it may be a password or personal data.
    found = [
        FieldError(
            field="body" if item["type"] == "json_invalid" else _dotted(item["loc"]),
            reason=str(item["msg"]).removeprefix("Value error, ")[:200],
        )
        for item in error.errors()[:MOST_FIELD_ERRORS]
    ]
    body = Problem(
        type=f"urn:mainstay:problem:{MalformedRequest.code()}",
        title=MalformedRequest.title(),
        status=422,
        detail="; ".join(f"{item.field}: {item.reason}" for item in found)[:1000],
        instance=request.scope["path"],
        code=MalformedRequest.code(),
        request_id=request.scope.get("state", {}).get("request_id"),
        errors=found,
    )
    return _answer(body, {})


def _framework(request: Request, error: HTTPException) -> Response:
    known: dict[int, type[errors.Refusal]] = {
        404: NoSuchPath,
        405: MethodNotAllowed,
        413: errors.TooLarge,
        415: errors.WrongMediaType,
    }
    refusal = known.get(error.status_code, MalformedRequest)
    # The framework says 400 to what it cannot parse; here that is malformed like any other.
    status = status_of(refusal) if error.status_code == 400 else error.status_code
    response = problem_of(refusal(), request, status=status)
    for name, value in (error.headers or {}).items():
        response.headers[name] = value
    return response


def _surprised(request: Request, error: Exception) -> Response:
    route = getattr(request.scope.get("route"), "path", "unmatched")
    log.error("unexpected fault", route=route, error=type(error).__name__, exc_info=error)
    return problem_of(UnexpectedFault(), request, status=500)


def _dotted(location: tuple[int | str, ...]) -> str:
    parts = [str(part)[:100] for part in location]
    return ".".join(parts[1:] if len(parts) > 1 and parts[0] in {"body", "query", "path", "header"} else parts)


def _answer(problem: Problem, headers: dict[str, str]) -> Response:
    content = json.dumps(problem.model_dump(mode="json", exclude_none=True), ensure_ascii=True)
    return ProblemResponse(content, status_code=problem.status, headers=headers)
