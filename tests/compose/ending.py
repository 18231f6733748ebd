"""What is left when a story is over, as every way of asking tells it, without what differs from run to run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from deploy.demo.client import Person
from deploy.demo.story import Story
from deploy.services import SERVICES

PROTECTION_FIELDS = ("place", "status", "retention_days", "every_hours")
LEFT_OUT = frozenset({"backup-completed", "backup-failed", "customer-registered"})
"""The number of the first two tells how often somebody was interrupted; the last comes just before the partner is
linked, so whether it is told depends on who was heard first."""


async def end_state(story: Story) -> dict[str, Any]:
    """Ids and instants are left out: months differ in length, and the second story is told in later ones."""
    contract = story.contract_id
    ask = {"contract_id": contract}
    found = await story.customer.get("the end", f"/contracts/v1/contracts/{contract}")
    invoices = await _all(story.customer, "/billing/v1/invoices", **ask)
    payments = [
        payment
        for invoice in invoices
        for payment in await _all(story.auditor, "/billing/v1/payments", invoice_id=invoice["id"])
    ]
    notices = [each for each in await _all(story.customer, "/notify/v1/notices") if each["contract_id"] == contract]
    protections = [await story.customer.get("the end", f"/backup/v1/protections/{one}") for one in story.protections]
    runs = [
        (protection["place"], run["slot_at"])
        for protection in protections
        for run in await _all(story.customer, f"/backup/v1/protections/{protection['id']}/runs")
    ]
    emergencies = await _all(story.customer, "/contracts/v1/emergencies", **ask)
    return {
        "contract": [found["status"], found["end_reason"], found["agreement_version"]],
        "periods": [[period["index"], period["payment_id"] is not None] for period in found["periods"]],
        "gaps": [
            one["ends_at"] for one, next_one in pairwise(found["periods"]) if one["ends_at"] != next_one["starts_at"]
        ],
        "invoices": _counted([invoice["period_index"], invoice["status"], invoice["total"]] for invoice in invoices),
        "payments": _counted([payment["status"], payment["channel"], payment["amount"]] for payment in payments),
        "notices": _counted([notice["kind"], notice["period_index"], notice["status"]] for notice in notices),
        "protections": [[each[field] for field in PROTECTION_FIELDS] for each in protections],
        "slots with two backups": [slot for slot, count in Counter(runs).items() if count > 1],
        "emergencies": [[each["status"], each["escalations"], each["outcome"]] for each in emergencies],
        "facts read by the partner": _counted(
            event["type"] for event in story.feed.events if event["type"].split(".")[2] not in LEFT_OUT
        ),
        "decisions": {
            service: _counted(
                [each["kind"], each["verdict"], each["clause"]] for each in await _decided(story, service)
            )
            for service in SERVICES
        },
        "parked": [
            (await story.admin.get("the end", f"/{service}/v1/parked/{kind}"))["items"]
            for service in SERVICES
            for kind in ("events", "timers")
        ],
    }


async def _decided(story: Story, service: str) -> list[Any]:
    return await _all(story.customer, f"/{service}/v1/decisions")


async def _all(person: Person, path: str, **parameters: Any) -> list[Any]:
    return await person.all("the end", path, **parameters)


def _counted(things: Iterable[Any]) -> list[tuple[str, int]]:
    return sorted(Counter(map(repr, things)).items())
