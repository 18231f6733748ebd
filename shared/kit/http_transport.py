"""httpx's transport, without the one error of a lost connection that it does not name as such."""

from __future__ import annotations

import httpx


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
