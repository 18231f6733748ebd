"""Facts of the contracts service may come late, twice and in any order."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import permutations

import pytest

from shared.events.backup import ProtectionEnded, ProtectionStarted
from shared.events.envelope import Fact
from tests.backup.world import World

Telling = Callable[[World], Fact]
FIRST_YEAR: dict[str, Telling] = {
    "server": lambda world: world.server_registered(),
    "registered": lambda world: world.service_registered(),
    "renewed": lambda world: world.service_renewed(),
    "expired": lambda world: world.service_expired(2, ended_at=world.now + timedelta(days=60)),
}


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
@pytest.mark.parametrize("order", list(permutations(FIRST_YEAR)), ids="-".join)
async def test_whatever_the_order_an_expired_service_is_not_backed_up(world: World, order: tuple[str, ...]) -> None:
    for name in order:
        await world.service.tell(FIRST_YEAR[name](world))
    await world.service.run_due()
    assert {each["status"] for each in await world.protections()} <= {"ended"}
    started, ended = await world.told(ProtectionStarted), await world.told(ProtectionEnded)
    assert len(started) == len(ended)
    assert {each.retain_until for each in ended} <= {world.now + timedelta(days=90)}


@pytest.mark.parametrize("order", list(permutations(["server", "registered", "renewed"])), ids="-".join)
async def test_whatever_the_order_a_renewed_service_has_the_new_terms(world: World, order: tuple[str, ...]) -> None:
    for name in order:
        await world.service.tell(FIRST_YEAR[name](world))
    protection = await world.protection()
    assert protection["status"] == "active"
    assert (protection["period_index"], protection["agreement_version"]) == (2, "2026-02")
    assert protection["restore_target_hours"] == 2


async def test_a_fact_told_twice_changes_nothing(world: World) -> None:
    for _ in range(2):
        await world.service.tell(world.server_registered())
        await world.service.tell(world.service_registered())
    assert len(await world.protections()) == 1
    for _ in range(2):
        await world.service.tell(world.service_expired())
    assert len(await world.told(ProtectionStarted)) == 1
    assert len(await world.told(ProtectionEnded)) == 1


async def test_an_end_of_an_earlier_period_that_comes_late_ends_nothing(world: World) -> None:
    await world.begin()
    await world.service.tell(world.service_renewed())
    await world.service.tell(world.service_expired(1))
    assert (await world.protection())["status"] == "active"


@pytest.mark.parametrize("lifting", ["held", "renewed"])
async def test_a_reinstated_service_is_protected_again(world: World, lifting: str) -> None:
    await world.begin()
    await world.service.advance(by=timedelta(days=29))
    await world.service.tell(world.service_expired())
    assert (await world.protection())["retain_until"] is not None
    runs = len(await world.runs())
    await world.service.advance(by=timedelta(days=2))
    assert len(await world.runs()) == runs
    await world.service.tell(world.service_held() if lifting == "held" else world.service_renewed())
    await world.service.run_due()
    protection = await world.protection()
    assert protection["status"] == "active"
    assert protection["retain_until"] is None
    assert (await world.runs())[-1]["status"] == "succeeded"
    assert len(await world.runs()) == runs + 1
    await world.service.advance(by=timedelta(days=100))
    assert (await world.protection())["status"] == "active"


async def test_a_service_reinstated_after_its_data_is_gone_gets_a_new_protection(world: World) -> None:
    await world.begin()
    await world.service.tell(world.service_expired(ended_at=world.now))
    await world.service.advance(by=timedelta(days=31))
    await world.service.tell(world.service_renewed())
    await world.service.run_due()
    assert [each["status"] for each in await world.protections()] == ["purged", "active"]
    assert (await world.runs())[-1]["status"] == "succeeded"


async def test_every_server_of_a_contract_has_its_own_protection(world: World) -> None:
    servers = [world.server_id, *[type(world.server_id)(int=number) for number in (1, 2)]]
    await world.service.tell(world.service_registered(server_ids=servers))
    assert {each["server_id"] for each in await world.protections()} == {str(each) for each in servers}
