"""A connection that is lost is a transport error, at whatever moment."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from shared.kit.http_transport import direct_client


async def fails_with(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_arguments: Any) -> httpx.Response:
        raise error

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", fail)
    async with direct_client() as client:
        await client.get("http://somewhere/")


async def test_a_connection_that_is_reset_as_it_is_made_was_never_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """As anyio meets it when it asks the socket of such a connection for its peer."""
    with pytest.raises(httpx.ConnectError):
        await fails_with(AttributeError("no attribute", name="getpeername", obj=None), monkeypatch)


async def test_a_defect_of_ours_stays_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AttributeError):
        await fails_with(AttributeError("no attribute", name="something", obj=None), monkeypatch)
