"""Whether a server meets the conditions for maintenance (2.4)."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from services.contracts.api.customers import READERS
from services.contracts.db import servers
from services.contracts.domain.condition_declaration import Condition
from services.contracts.domain.readiness import CheckedLater, Item, NotRecorded, ReadinessCheck, State, is_ready
from services.contracts.domain.server import NoSuchServer
from services.contracts.use_cases import readiness as stories
from shared.kit.auth import Role
from shared.kit.fields import Body, Flag, Line, View, When
from shared.kit.routing import CallerIn, HouseRouter, Read, Tx

router = HouseRouter("/v1/servers/{server_id}", tag="readiness")

CHECKERS = frozenset({Role.TECHNICIAN, Role.SUPPORT})


class RecordCheck(Body):
    """`checked_by`: the tool or person it comes from, and `checked_at`: when, unless it is the caller and now."""

    condition: Condition
    passed: Flag
    checked_by: Line | None = None
    checked_at: When | None = None


class CheckView(View):
    id: UUID
    server_id: UUID
    condition: Condition
    passed: bool
    checked_by: str
    checked_at: datetime
    recorded_by: str
    recorded_at: datetime

    @classmethod
    def of(cls, check: ReadinessCheck) -> CheckView:
        return cls.model_validate(check)


class ItemView(View):
    """`stale`: the last result is too old to count; `unknown`: nobody has looked, or there is nothing yet."""

    condition: Condition
    state: State
    checked_at: datetime | None
    checked_by: str | None

    @classmethod
    def of(cls, item: Item) -> ItemView:
        return cls.model_validate(item)


class ReadinessView(View):
    """`ready`: every item is ok. A result counts for `valid_hours`."""

    server_id: UUID
    ready: bool
    valid_hours: int
    agreement_version: str
    items: list[ItemView]


@router.post("/readiness-checks", callers=CHECKERS, status_code=201, refusals=[NoSuchServer, NotRecorded, CheckedLater])
async def record_readiness_check(server_id: UUID, body: RecordCheck, tx: Tx) -> CheckView:
    """Record whether the server was reachable, its credentials valid, or its disk free; the rest follows by itself."""
    return CheckView.of(await stories.record_check(tx, server_id, stories.Checked(**dict(body))))


@router.get("/readiness", callers=READERS, refusals=[NoSuchServer])
async def read_readiness(server_id: UUID, reader: Read, caller: CallerIn) -> ReadinessView:
    """The checklist of the server as it is now; work begins on a server that is ready."""
    server = await servers.get(reader, server_id, only_customer=caller.only_customer)
    agreement, items = await stories.checklist_of(reader, server)
    return ReadinessView(
        server_id=server.id,
        ready=is_ready(items),
        valid_hours=agreement.parameters.readiness_valid_hours,
        agreement_version=agreement.version,
        items=[ItemView.of(item) for item in items],
    )
