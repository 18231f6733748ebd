"""Pages are bounded, follow each other without gap or repetition, and their cursor is opaque."""

from uuid import UUID

import pytest

from shared.kernel.ids import new_id
from shared.kit.auth import Role
from tests.kit.support import parcels
from tests.support.service import ServiceUnderTest


async def some_parcels(service: ServiceUnderTest, number: int) -> list[str]:
    ids = [new_id() for _ in range(number)]
    async with service.runtime.database.transaction() as tx:
        await tx.insert(parcels, [{"id": one, "label": str(one)} for one in ids])
    return [str(one) for one in ids]


async def test_pages_follow_each_other_to_the_end(service: ServiceUnderTest) -> None:
    ids, client = await some_parcels(service, 7), service.as_role(Role.SUPPORT)
    seen: list[str] = []
    sizes: list[int] = []
    parameters: dict[str, str | int] = {"limit": 3}
    while True:
        page = (await client.get("/v1/parcels", params=parameters)).json()
        seen += [item["id"] for item in page["items"]]
        sizes.append(len(page["items"]))
        if page["next_cursor"] is None:
            break
        parameters["cursor"] = page["next_cursor"]
    assert (seen, sizes) == (ids, [3, 3, 1])


async def test_a_page_that_is_exactly_full_is_the_last(service: ServiceUnderTest) -> None:
    await some_parcels(service, 3)
    page = (await service.as_role(Role.SUPPORT).get("/v1/parcels", params={"limit": 3})).json()
    assert (len(page["items"]), page["next_cursor"]) == (3, None)


async def test_nothing_is_one_empty_page(service: ServiceUnderTest) -> None:
    assert (await service.as_role(Role.SUPPORT).get("/v1/parcels")).json() == {"items": [], "next_cursor": None}


@pytest.mark.parametrize("limit", ["0", "-1", "201", "true", "1e2", "ten", "9" * 400])
async def test_a_page_has_a_bound(sqlite_service: ServiceUnderTest, limit: str) -> None:
    answer = await sqlite_service.as_role(Role.SUPPORT).get("/v1/parcels", params={"limit": limit})
    assert (answer.status_code, answer.json()["code"]) == (422, "MalformedRequest")


@pytest.mark.parametrize("cursor", ["x", "é", "....", "A" * 64, "A" * 21, "\0"])
async def test_a_cursor_that_was_not_given_out_is_refused(sqlite_service: ServiceUnderTest, cursor: str) -> None:
    answer = await sqlite_service.as_role(Role.SUPPORT).get("/v1/parcels", params={"cursor": cursor})
    assert answer.status_code == 422
    assert answer.json()["code"] in {"UnknownCursor", "MalformedRequest"}


async def test_a_cursor_shows_no_id(service: ServiceUnderTest) -> None:
    ids = await some_parcels(service, 2)
    page = (await service.as_role(Role.SUPPORT).get("/v1/parcels", params={"limit": 1})).json()
    assert ids[0] not in page["next_cursor"]
    assert UUID(ids[0]).hex not in page["next_cursor"]
