"""A caller has a bucket of requests that refills; what is received at once is bounded for all callers together."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from joserfc.jwk import KeySet

from shared.kit import routing
from shared.kit.auth import Role
from shared.kit.problems import TooBusy, TooManyRequests
from shared.kit.rate_limits import REMEMBERED_CALLERS, RateLimits
from shared.kit.routing import BodiesHeld
from shared.kit.runtime import authenticator_for
from shared.kit.settings import CommonSettings
from tests.hostile.planted import Planted
from tests.structure.house import SERVICES, operations_of


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def taken(limits: RateLimits, who: str, times: int) -> int:
    """How many of so many requests at once are let through."""
    through = 0
    for _ in range(times):
        try:
            limits.take(who)
        except TooManyRequests:
            continue
        through += 1
    return through


def test_a_full_bucket_holds_the_burst_and_refills_steadily() -> None:
    clock = Clock()
    limits = RateLimits(10, 25, clock=clock)
    assert taken(limits, "ann", 100) == 25
    clock.now += 1
    assert taken(limits, "ann", 100) == 10
    clock.now += 3_600
    assert taken(limits, "ann", 100) == 25


def test_callers_do_not_share_a_bucket() -> None:
    limits = RateLimits(1, 2, clock=Clock())
    assert [taken(limits, who, 5) for who in ("ann", "bob", "ann")] == [2, 2, 0]


def test_a_refused_caller_who_waits_as_told_gets_through() -> None:
    clock = Clock()
    limits = RateLimits(0.5, 1, clock=clock)
    limits.take("ann")
    with pytest.raises(TooManyRequests) as refused:
        limits.take("ann")
    assert refused.value.retry_after_seconds == 2
    clock.now += refused.value.retry_after_seconds
    limits.take("ann")


def test_no_rate_is_no_limit_and_many_callers_are_not_remembered_for_ever() -> None:
    assert taken(RateLimits(0, 1, clock=Clock()), "ann", 10_000) == 10_000
    limits = RateLimits(1, 1, clock=Clock())
    for number in range(REMEMBERED_CALLERS + 100):
        limits.take(str(number))
    assert len(limits._full_at) == REMEMBERED_CALLERS


class CountingKeys:
    """Counts how often a token is about to be verified."""

    def __init__(self, keys: KeySet) -> None:
        self._keys, self.asked = keys, 0

    async def keys(self, *, refresh: bool = False) -> KeySet:
        self.asked += 1
        return self._keys


@pytest.fixture
def limited(on_sqlite: Planted) -> Iterator[CountingKeys]:
    """Five requests of each caller, and then none, in a service that remembers nobody yet."""
    keys = CountingKeys(on_sqlite.service.issuer.keys)
    runtime, state = on_sqlite.service.runtime, on_sqlite.service.app.state
    before = runtime.authenticator, state.rate_limits
    runtime.authenticator = authenticator_for(runtime.common, keys)
    state.rate_limits = RateLimits(0.001, 5, clock=Clock())
    yield keys
    runtime.authenticator, state.rate_limits = before


async def test_a_flood_of_bad_tokens_is_turned_away_before_it_costs_their_verification(
    on_sqlite: Planted, limited: CountingKeys
) -> None:
    client = on_sqlite.service.anonymous()
    good = on_sqlite.service.issuer.token(Role.SUPPORT)
    bad = [{"authorization": f"Bearer {good[: -number - 1]}"} for number in range(40)]
    answers = [
        await client.get("/v1/decisions", headers={**each, "x-forwarded-for": f"10.0.0.{n}"})
        for n, each in enumerate(bad)
    ]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429] * 35
    assert int(answers[-1].headers["retry-after"]) > 0
    assert limited.asked == 10  # Each is looked at again with fresh keys before it is refused.
    assert [(await client.get("/v1/decisions")).status_code for _ in range(5)] == [429] * 5


async def test_many_tokens_of_one_caller_share_its_bucket_and_known_callers_outlast_a_flood(
    on_sqlite: Planted, limited: CountingKeys
) -> None:
    known = on_sqlite.service.as_role(Role.SUPPORT, subject="known")
    assert (await known.get("/v1/decisions")).status_code == 200
    hasty = [on_sqlite.service.as_role(role, subject="hasty") for role in (Role.SUPPORT, Role.ADMIN, Role.FINANCE)]
    statuses = [(await hasty[n % 3].get("/v1/decisions")).status_code for n in range(12)]
    assert statuses == [200] * 5 + [429] * 7
    client = on_sqlite.service.anonymous()
    flood = [(await client.get("/v1/decisions", headers={"authorization": "Bearer x"})).status_code for _ in range(9)]
    assert flood[-1] == 429
    assert (await known.get("/v1/decisions")).status_code == 200


@pytest.mark.parametrize("service", SERVICES)
def test_every_route_says_that_it_may_be_asked_too_often(service: str) -> None:
    for method, path, operation in operations_of(service):
        assert "TooManyRequests" in operation["responses"]["429"]["description"], f"{method} {path}"
        assert method == "GET" or "BodyTooSlow" in operation["responses"]["408"]["description"], f"{method} {path}"


async def test_bodies_over_what_is_held_together_are_turned_away_and_what_was_held_is_given_back(
    on_sqlite: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: BodiesHeld = on_sqlite.service.app.state.bodies_held
    assert held.bytes == 0
    monkeypatch.setattr(routing, "MOST_BYTES_HELD", 1_000)
    client = on_sqlite.service.as_role(Role.ADMIN)
    answers: list[httpx.Response] = [
        await client.post("/v1/clock", content=b" " * size, headers={"content-type": "application/json"})
        for size in (900, 1_100, 900)
    ]
    assert [answer.status_code for answer in answers] == [422, 503, 422]
    assert answers[1].json()["code"] == TooBusy.code()
    assert int(answers[1].headers["retry-after"]) > 0
    assert held.bytes == 0


def test_the_limits_are_generous_by_default() -> None:
    common = CommonSettings(data_dir=Path("nowhere"))
    assert (common.rate_limit_per_second, common.rate_limit_burst) == (100, 500)
