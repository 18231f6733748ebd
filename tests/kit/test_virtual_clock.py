"""A demonstration's time moves forward for every process of a service, and never back."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from shared.kit.auth import Role
from tests.kit.support import open_parcels, parcels_app, running_parcels
from tests.support.service import ServiceUnderTest

SECOND = timedelta(seconds=1)


async def test_the_clock_is_moved_forward_for_every_process_of_the_service(
    service: ServiceUnderTest, database_url: str, tmp_path: Path
) -> None:
    start = await service.now()
    target = start + timedelta(days=27)
    answer = await service.as_role(Role.ADMIN).post("/v1/clock", json={"to": target.isoformat()})
    assert answer.status_code == 200
    assert target <= await service.now() < target + 30 * SECOND
    seen = datetime.fromisoformat((await service.anonymous().get("/v1/clock")).json()["now"])
    assert seen >= target
    other = open_parcels(database_url, tmp_path, clock="virtual")
    async with other.database.transaction() as tx:
        assert tx.now >= target
    await other.close()


async def test_the_clock_is_never_moved_back(service: ServiceUnderTest) -> None:
    now = await service.now()
    answer = await service.as_role(Role.ADMIN).post("/v1/clock", json={"to": (now - SECOND).isoformat()})
    assert (answer.status_code, answer.json()["code"]) == (409, "ClockGoesForward")
    assert abs(await service.now() - now) < 30 * SECOND


@pytest.mark.parametrize("role", [Role.CUSTOMER, Role.SUPPORT])
async def test_only_an_administrator_moves_the_clock(sqlite_service: ServiceUnderTest, role: Role) -> None:
    answer = await sqlite_service.as_role(role).post("/v1/clock", json={"to": "2050-01-01T00:00:00Z"})
    assert answer.status_code == 403


async def test_on_the_system_clock_there_is_no_way_to_move_time(sqlite_url: str, tmp_path: Path) -> None:
    async with running_parcels(sqlite_url, tmp_path, clock="system") as service:
        answer = await service.as_role(Role.ADMIN).post("/v1/clock", json={"to": "2050-01-01T00:00:00Z"})
        assert answer.status_code == 404
        assert "/v1/clock" not in parcels_app(service.runtime).openapi()["paths"]
