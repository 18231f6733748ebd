"""The contracts API as `mainstay api contracts` runs it, with a few more routes: what the product has no route for."""

from __future__ import annotations

import atexit
import cProfile
import sys

from fastapi import FastAPI

from deploy import services
from deploy.serving import run
from deploy.split.single import run_api
from services.contracts.db import customers, servers
from services.contracts.domain.agreement import Language
from services.contracts.domain.customer import Customer
from services.contracts.domain.server import Server
from shared.kernel.ids import new_id
from shared.kit.auth import ANYONE, Role
from shared.kit.fields import Body, Line, View
from shared.kit.routing import HouseRouter, Tx
from shared.kit.runtime import Runtime
from tests.performance.floors import Pair

router = HouseRouter("/v1/bench", tag="bench")
app_of = services.app_of


class Ok(View):
    status: str


class NewPair(Body):
    name: Line
    operating_system: Line


@router.get("/ok", callers=ANYONE, holds_reader=False)
async def ok() -> Ok:
    return Ok(status="ok")


@router.get("/ok-for-customers", callers={Role.CUSTOMER}, holds_reader=False)
async def ok_for_customers() -> Ok:
    return Ok(status="ok")


@router.put("/pairs", callers={Role.CUSTOMER})
async def write_pair(body: NewPair, tx: Tx) -> Pair:
    """Two rows, without a key, events or audit."""
    customer = Customer(id=new_id(), name=body.name, language=Language.EN, zone="UTC", registered_at=tx.now)
    server = Server(
        id=new_id(),
        customer_id=customer.id,
        name=body.name,
        operating_system=body.operating_system,
        registered_at=tx.now,
    )
    await customers.insert(tx, customer)
    await servers.insert(tx, server)
    return Pair(customer_id=customer.id, server_id=server.id)


def _with_more_routes(runtime: Runtime) -> FastAPI:
    app = app_of(runtime)
    app.include_router(router)
    for file in sys.argv[2:]:
        _profile(file)
    return app


def _profile(file: str) -> None:
    """From now on, so that what start-up costs is left out, until the process ends."""
    profile = cProfile.Profile()
    atexit.register(profile.dump_stats, file)
    profile.enable()


if __name__ == "__main__":
    services.app_of = _with_more_routes
    run(run_api("contracts", int(sys.argv[1])))
