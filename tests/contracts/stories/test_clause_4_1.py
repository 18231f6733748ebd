"""Clause 4.1: software copyright is the customer's responsibility, which declares what is on its servers."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import Any

import httpx
import pytest

from shared.events.contracts import SoftwareDeclared, WorkHeld, WorkReleased
from shared.kernel.ids import new_id
from shared.kit.auth import Role
from tests.contracts.stories.work import WorkStory
from tests.contracts.story import problem

POSTGRESQL = {
    "name": "PostgreSQL",
    "version": "17.2",
    "licence": "PostgreSQL",
    "purl": "pkg:deb/debian/postgresql@17.2",
}
OWN = {"name": "Shop", "licence": "LicenseRef-Beispiel-AG"}


class SoftwareStory:
    """What the customer declares of its server."""

    def __init__(self, work: WorkStory) -> None:
        self.work = work

    @property
    def path(self) -> str:
        return f"/v1/servers/{self.work.server_ids[0]}/software"

    async def declare(self, *software: dict[str, Any], channel: str = "portal", **options: Any) -> httpx.Response:
        body = {"software": list(software), "channel": channel}
        return await self.work.http.post(self.path, json=body, **options)

    async def imports(self, content: bytes, *, channel: str = "portal", **options: Any) -> httpx.Response:
        headers = {"content-type": "application/octet-stream", **options.pop("headers", {})}
        path = f"{self.path}/import"
        return await self.work.http.post(path, content=content, params={"channel": channel}, headers=headers)

    async def declared(self, *software: dict[str, Any]) -> dict[str, Any]:
        answer = await self.declare(*software)
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def components(self, declaration: str) -> list[dict[str, Any]]:
        answer = await self.work.http.get(f"/v1/software-declarations/{declaration}/components")
        assert answer.status_code == 200, answer.text
        return list(answer.json()["items"])

    async def held_for(self) -> list[str]:
        return list((await self.work.work_shown())["held_for_software"])


@pytest.fixture
async def software(work: WorkStory) -> SoftwareStory:
    """Given a served contract with a server of which nothing is declared."""
    await work.active()
    return SoftwareStory(work)


async def test_what_the_customer_declares_is_its_own_responsibility(software: SoftwareStory) -> None:
    """When the customer declares software by hand, Then it is kept as declared, and it answers for it by 4.1."""
    declared = await software.declared(POSTGRESQL, OWN | {"licence": "LicenseRef-Beispiel-AG or mit"})
    assert (declared["declaration_index"], declared["source"], declared["component_count"]) == (1, "by-hand", 2)
    assert await software.components(declared["id"]) == [
        POSTGRESQL,
        OWN | {"licence": "LicenseRef-Beispiel-AG OR MIT", "version": None, "purl": None},
    ]
    expected = [("software.declare", "customer-responsible", "4.1", "2026-1")]
    assert await software.work.decisions(declared["id"]) == expected
    [told] = await software.work.told(SoftwareDeclared)
    assert (told.component_count, told.sha256) == (2, declared["sha256"])
    assert "PostgreSQL" not in told.model_dump_json()


async def test_the_newest_declaration_counts_and_the_older_ones_are_kept(software: SoftwareStory) -> None:
    first = await software.declared(POSTGRESQL)
    second = await software.declared(OWN)
    kept = (await software.work.http.get(software.path)).json()["items"]
    assert [(one["id"], one["declaration_index"]) for one in kept] == [(first["id"], 1), (second["id"], 2)]
    assert (await software.work.asked("health-check", software=["PostgreSQL"])) == software.work.work
    assert await software.held_for() == ["PostgreSQL"]


async def test_an_unknown_licence_is_refused_and_nothing_is_kept(software: SoftwareStory) -> None:
    """Given a licence that SPDX does not know, Then the declaration is refused by 4.1, naming the place."""
    for licence in ("Proprietary", "MIT AND", "NOASSERTION", "LicenseRef-", "MIT Apache-2.0"):
        answer = await software.declare(POSTGRESQL, OWN | {"licence": licence})
        assert problem(answer) == (422, "UnknownLicence", "4.1")
        assert answer.json()["errors"][0]["field"] == "software.1.licence"
    assert (await software.work.http.get(software.path)).json()["items"] == []


async def test_an_oral_declaration_declares_nothing(software: SoftwareStory) -> None:
    assert problem(await software.declare(POSTGRESQL, channel="telephone"))[1:] == ("OralRequest", "3.1")


async def test_work_on_undeclared_software_is_held_until_it_is_declared(software: SoftwareStory) -> None:
    """Given work on PostgreSQL, which nobody declared, Then it is held by 4.1; once declared, it goes on by itself."""
    work = software.work
    await work.asked("health-check", software=["postgresql"])
    assert await software.held_for() == ["postgresql"]
    await work.did("assess", {"rehearsed": False}, by=work.eve)
    answer = await work.tells("accept", by=work.eve)
    assert problem(answer) == (409, "UndeclaredSoftware", "4.1")
    await software.declared(OWN)
    assert problem(await work.tells("accept", by=work.eve))[1] == "UndeclaredSoftware"

    await software.declared(POSTGRESQL, OWN)
    assert await software.held_for() == []
    assert (await work.did("accept", by=work.eve))["status"] == "accepted"
    holds = [row for row in await work.work_decisions() if row[0] == "work-request.hold"]
    assert [(verdict, clause) for _, verdict, clause, _ in holds] == [("held", "4.1"), ("goes-on", "4.1")]
    held, released = await work.told(WorkHeld, WorkReleased)
    assert (type(held), held.undeclared, type(released)) == (WorkHeld, 1, WorkReleased)


async def test_work_is_held_again_when_its_software_is_declared_no_more(software: SoftwareStory) -> None:
    """Given accepted work, When a newer declaration leaves its software out, Then it does not begin."""
    work = software.work
    await software.declared(POSTGRESQL)
    await work.asked("health-check", software=["POSTGRESQL"])
    await work.did("assess", {"rehearsed": False}, by=work.eve)
    await work.did("accept", by=work.eve)
    await work.did("schedule", work.slot(await work.service.now()), by=work.support)
    await software.declared(OWN)
    assert problem(await work.tells("start", by=work.eve)) == (409, "UndeclaredSoftware", "4.1")
    assert [row[1] for row in await work.work_decisions() if row[0] == "work-request.hold"] == ["held"]


async def test_two_declarations_at_once_are_two_versions(software: SoftwareStory) -> None:
    answers = await asyncio.gather(*(software.declare(POSTGRESQL) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {201}
    assert sorted(answer.json()["declaration_index"] for answer in answers) == [1, 2, 3, 4, 5]


async def test_the_same_declaration_sent_twice_is_one(software: SoftwareStory) -> None:
    key = {"idempotency-key": "the-same"}
    first, again = [await software.declare(POSTGRESQL, headers=key) for _ in range(2)]
    assert first.json() == again.json()
    assert len((await software.work.http.get(software.path)).json()["items"]) == 1


async def test_another_customers_software_is_not_found(software: SoftwareStory) -> None:
    declared = await software.declared(POSTGRESQL)
    other = software.work.service.as_role(Role.CUSTOMER, customer_id=new_id())
    body = {"software": [], "channel": "portal"}
    assert problem(await other.post(software.path, json=body)) == (404, "NoSuchServer", None)
    assert problem(await other.get(software.path)) == (404, "NoSuchServer", None)
    path = f"/v1/software-declarations/{declared['id']}"
    for each in (path, f"{path}/components"):
        assert problem(await other.get(each)) == (404, "NoSuchSoftwareDeclaration", None)


@pytest.mark.parametrize(
    "component",
    [
        {"name": "bell\x07", "licence": "MIT"},
        {"name": "", "licence": "MIT"},
        {"name": "x" * 201, "licence": "MIT"},
        {"name": "x"},
        {"name": "x", "licence": "MIT", "purl": "http://example.org"},
        {"name": "x", "licence": "MIT", "owner": "me"},
    ],
)
async def test_what_is_malformed_is_not_declared(software: SoftwareStory, component: dict[str, Any]) -> None:
    assert problem(await software.declare(component)) == (422, "MalformedRequest", None)


async def test_the_digest_is_of_what_was_entered(software: SoftwareStory) -> None:
    declared = await software.declared(OWN)
    written = '[{"licence":"LicenseRef-Beispiel-AG","name":"Shop","purl":null,"version":null}]'
    assert declared["sha256"] == hashlib.sha256(written.encode()).hexdigest()


BILL = json.dumps(
    {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "components": [
            {"type": "application", "name": "PostgreSQL", "version": "17.2", "licenses": [{"expression": "PostgreSQL"}]}
        ],
    }
).encode()


async def test_a_bill_of_materials_declares_all_that_it_lists(software: SoftwareStory) -> None:
    """Given held work, When the customer sends a bill of materials that lists what it touches, Then it goes on. 4.1."""
    await software.work.asked("health-check", software=["postgresql"])
    answer = await software.imports(BILL)
    assert answer.status_code == 201, answer.text
    declared = answer.json()
    assert (declared["source"], declared["spec_version"], declared["component_count"]) == ("cyclonedx-json", "1.6", 1)
    assert declared["sha256"] == hashlib.sha256(BILL).hexdigest()
    assert (await software.components(declared["id"]))[0]["licence"] == "PostgreSQL"
    assert await software.held_for() == []
    [told] = await software.work.told(SoftwareDeclared)
    assert told.source == "cyclonedx-json"


async def test_a_bill_that_cannot_be_read_declares_nothing(software: SoftwareStory) -> None:
    """Given a bill of materials that is malformed, oral or huge, Then it is refused with its reason. 4.1 and 3.1."""
    assert problem(await software.imports(BILL[:-5])) == (422, "UnreadableBill", "4.1")
    unknown = BILL.replace(b'"expression": "PostgreSQL"', b'"expression": "Mine"')
    assert problem(await software.imports(unknown)) == (422, "UnknownLicence", "4.1")
    assert problem(await software.imports(BILL, channel="telephone"))[1:] == ("OralRequest", "3.1")
    many = json.dumps({"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [{}] * 5_001}).encode()
    assert problem(await software.imports(many)) == (413, "TooMuchSoftware", "4.1")
    assert (await software.imports(b" " * (4 * 1024 * 1024 + 1))).status_code == 413
    assert (await software.work.http.get(software.path)).json()["items"] == []


async def test_the_same_bill_sent_twice_is_one_declaration(software: SoftwareStory) -> None:
    key = {"idempotency-key": "the-same-bill"}
    first, again = [await software.imports(BILL, headers=key) for _ in range(2)]
    assert first.json() == again.json()
    assert len((await software.work.http.get(software.path)).json()["items"]) == 1
