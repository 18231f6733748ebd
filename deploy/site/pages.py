"""HTML pages and their assets, all served from this machine: nothing on them needs the internet."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

_HERE = Path(__file__).parent
_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
PAGE_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


@lru_cache(maxsize=1)
def _templates() -> Environment:
    return Environment(
        loader=FileSystemLoader(_HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )


def page(template: str, **values: Any) -> Response:
    """One rendered page under a policy that keeps everything foreign out."""
    return HTMLResponse(_templates().get_template(template).render(**values), headers=PAGE_HEADERS)


def asset_routes() -> list[Route]:
    """One route per file in assets/; there are few and they are small, so they are kept in memory."""
    return [
        _asset_route(path.name, path.read_bytes(), _TYPES[path.suffix]) for path in sorted((_HERE / "assets").iterdir())
    ]


def _asset_route(name: str, content: bytes, media_type: str) -> Route:
    async def asset(_request: Request) -> Response:
        headers = {"x-content-type-options": "nosniff", "cache-control": "public, max-age=300"}
        return Response(content, media_type=media_type, headers=headers)

    return Route(f"/assets/{name}", asset)
