"""The virtual clock over HTTP, mounted only where MAINSTAY_CLOCK=virtual."""

from __future__ import annotations

from datetime import datetime
from functools import cache

from shared.kit import virtual_clock
from shared.kit.auth import ANYONE, Role
from shared.kit.fields import Body, View, When
from shared.kit.routing import HouseRouter, Read, Tx


class ClockView(View):
    now: datetime


class AdvanceBody(Body):
    to: When


@cache
def router() -> HouseRouter:
    routes = HouseRouter("/v1/clock", tag="development")

    @routes.get("", callers=ANYONE)
    async def read_clock(reader: Read) -> ClockView:
        """The service's present instant."""
        return ClockView(now=reader.now)

    @routes.post("", callers={Role.ADMIN}, refusals=[virtual_clock.ClockGoesForward])
    async def advance_clock(body: AdvanceBody, tx: Tx) -> ClockView:
        """Move the service's time forward to `to`."""
        return ClockView(now=await virtual_clock.advance(tx, body.to))

    return routes
