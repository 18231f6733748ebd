"""How processes of ours are asked: httpx, without the one error of a lost connection that it does not name as such."""

from __future__ import annotations

import ssl
from typing import Any

import httpx

LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=20)
"""As httpx has them by default."""


class Transport(httpx.AsyncHTTPTransport):
    """Raises httpx.TransportError whatever becomes of the connection."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            return await super().handle_async_request(request)
        except AttributeError as error:
            # anyio asks a connection for its peer that was reset as soon as it was made; nothing has been sent yet.
            if error.name != "getpeername":
                raise
            raise httpx.ConnectError("the connection was reset as it was made", request=request) from error


def direct_client(
    *, verify: ssl.SSLContext | bool = True, limits: httpx.Limits = LIMITS, **options: Any
) -> httpx.AsyncClient:
    """A client that asks past any proxy of the environment, and raises httpx.TransportError for every lost answer."""
    transport = Transport(verify=verify, trust_env=False, limits=limits)
    return httpx.AsyncClient(transport=transport, trust_env=False, **options)
