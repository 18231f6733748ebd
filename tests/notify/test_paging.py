"""An emergency pages whoever is on call, then the next, then administrators; it is never silent (1.3)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest

from services.notify.domain.page import (
    DELIVERED,
    DROPPED,
    FAILED,
    MOST_TRIES,
    PAGE_LIFECYCLE,
    PENDING,
    PageStatus,
)
from services.notify.use_cases import measures
from shared.events.contracts import (
    EmergencyAcknowledged,
    EmergencyEscalated,
    EmergencyReported,
    EmergencyResolved,
    EmergencyWithdrawn,
)
from shared.kernel.errors import IllegalMove
from shared.kernel.ids import new_id
from shared.kit.auth import Role
from tests.infrastructure.smtp import TRY_LATER, SmtpPeer
from tests.notify.story import ADDRESS, Story, put_contact, run_retries
from tests.support.measures import measured
from tests.support.service import ServiceUnderTest

HOUR = timedelta(hours=1)
EVE, TOM, ROOT = "eve@company.example", "tom@company.example", "root@company.example"
MOVES: dict[tuple[str, PageStatus], PageStatus] = {
    ("deliver", PENDING): DELIVERED,
    ("fail", PENDING): FAILED,
    ("drop", PENDING): DROPPED,
}


class Company:
    """Eve is on call first, Tom second; Root is an administrator. `emergency` is the one that was called."""

    def __init__(self, notify: ServiceUnderTest, peer: SmtpPeer) -> None:
        self.notify, self.peer = notify, peer
        self.admin, self.support = notify.as_role(Role.ADMIN), notify.as_role(Role.SUPPORT)
        self.story, self.emergency, self.server_id = Story(), new_id(), new_id()

    async def reached(self, subject: str, email: str, *, administrator: bool = False) -> httpx.Response:
        body = {"email": email, "language": "en", "administrator": administrator}
        return await self.admin.put(f"/v1/staff-contacts/{subject}", json=body)

    async def shift(self, subject: str, position: Any = 1, **changes: Any) -> httpx.Response:
        now = await self.notify.now()
        body = {
            "subject": subject,
            "position": position,
            "starts_at": (now - HOUR).isoformat(),
            "ends_at": (now + 12 * HOUR).isoformat(),
        }
        return await self.support.post("/v1/on-call-shifts", json=body | changes)

    async def staffed(self) -> None:
        for subject, email in (("eve", EVE), ("tom", TOM)):
            assert (await self.reached(subject, email)).status_code == 200
        assert (await self.reached("root", ROOT, administrator=True)).status_code == 200
        for position, subject in enumerate(("eve", "tom"), start=1):
            answer = await self.shift(subject, position)
            assert answer.status_code == 201, answer.text

    def ids(self) -> dict[str, Any]:
        return {
            "customer_id": self.story.customer_id,
            "emergency_id": self.emergency,
            "contract_id": self.story.contract_id,
            "agreement_version": "2031-01",
            "period_index": 1,
            "server_id": self.server_id,
        }

    async def reported(self) -> EmergencyReported:
        now = await self.notify.now()
        return EmergencyReported(**self.ids(), reported_at=now, acknowledge_by=now + timedelta(minutes=15))

    async def calls(self) -> None:
        await self.notify.tell(await self.reported())
        await self.notify.run_due()

    async def escalates(self, number: int) -> None:
        now = await self.notify.now()
        fact = EmergencyEscalated(
            **self.ids(), escalation=number, reported_at=now, acknowledge_by=now, escalated_at=now
        )
        await self.notify.tell(fact)
        await self.notify.run_due()

    async def acknowledges(self) -> None:
        now = await self.notify.now()
        await self.notify.tell(EmergencyAcknowledged(**self.ids(), in_time=True, acknowledged_at=now))

    def paged(self) -> list[str]:
        """Who got a page, oldest first."""
        pages = [mail for mail in self.peer.messages if "EMERGENCY" in mail.message["Subject"]]
        return [mail.recipients[0] for mail in pages]

    async def pages(self) -> list[tuple[str, str, str]]:
        answer = await self.support.get("/v1/emergency-pages", params={"emergency_id": str(self.emergency)})
        return [(each["subject"], each["reason"], each["status"]) for each in answer.json()["items"]]

    async def unheard(self) -> float:
        return (await measured(self.notify, measures.measure))["mainstay_emergency_calls_unheard_seconds"]


@pytest.fixture
def company(notify: ServiceUnderTest, smtp_peer: SmtpPeer) -> Company:
    return Company(notify, smtp_peer)


@pytest.mark.parametrize("status", PageStatus)
@pytest.mark.parametrize("verb", PAGE_LIFECYCLE.verbs)
def test_a_page_moves_as_its_table_says_and_not_otherwise(verb: str, status: PageStatus) -> None:
    if (verb, status) in MOVES:
        assert PAGE_LIFECYCLE.after(verb, status) is MOVES[verb, status]
    else:
        with pytest.raises(IllegalMove):
            PAGE_LIFECYCLE.after(verb, status)


async def test_whoever_is_on_call_is_paged_at_once_and_the_next_when_nobody_answers(company: Company) -> None:
    await company.staffed()
    await company.calls()
    assert company.paged() == [EVE]
    body = company.peer.messages_to(EVE)[0].message.get_content()
    assert f"/contracts/v1/emergencies/{company.emergency}/acknowledge" in body
    assert "clause 1.3 of the service agreement, version 2031-01" in body
    await company.escalates(1)
    assert company.paged() == [EVE, TOM]
    await company.escalates(2)
    assert company.paged() == [EVE, TOM, ROOT]
    assert await company.pages() == [
        ("eve", "on-call", "delivered"),
        ("tom", "on-call", "delivered"),
        ("root", "nobody-answers", "delivered"),
    ]
    await company.escalates(3)
    assert company.paged()[3:] == [ROOT]
    assert await company.unheard() == 0


async def test_the_same_word_twice_pages_once(company: Company) -> None:
    await company.staffed()
    fact = await company.reported()
    for _ in range(3):
        await company.notify.tell(fact)
    await company.notify.run_due()
    await company.escalates(1)
    await company.escalates(1)
    assert company.paged() == [EVE, TOM]


async def test_once_it_is_acknowledged_nobody_else_is_paged(company: Company) -> None:
    await company.staffed()
    await company.notify.tell(await company.reported())
    await company.acknowledges()
    await company.notify.run_due()
    await company.escalates(1)
    assert (company.paged(), await company.pages()) == ([], [("eve", "on-call", "dropped")])


async def test_what_was_called_off_pages_nobody(company: Company) -> None:
    await company.staffed()
    await company.notify.tell(await company.reported())
    await company.notify.tell(EmergencyWithdrawn(**company.ids(), withdrawn_at=await company.notify.now()))
    await company.notify.run_due()
    assert company.paged() == []


async def test_with_nobody_on_call_every_administrator_is_paged(company: Company) -> None:
    for subject in ("ada", "root"):
        await company.reached(subject, f"{subject}@company.example", administrator=True)
    await company.reached("eve", EVE)
    later: dict[str, Any] = {"starts_at": (await company.notify.now() + HOUR).isoformat()}
    assert (await company.shift("eve", **later)).status_code == 201
    assert (await measured(company.notify, measures.measure))["mainstay_on_call_people"] == 0
    await company.calls()
    assert sorted(company.paged()) == ["ada@company.example", ROOT]
    assert {reason for _, reason, _ in await company.pages()} == {"nobody-on-call"}
    await company.notify.advance(by=2 * HOUR)
    assert (await measured(company.notify, measures.measure))["mainstay_on_call_people"] == 1


async def test_a_page_that_is_refused_calls_the_administrators(company: Company) -> None:
    await company.staffed()
    company.peer.refuse(EVE)
    await company.calls()
    assert company.paged() == [ROOT]
    assert await company.pages() == [("eve", "on-call", "failed"), ("root", "not-delivered", "delivered")]


async def test_a_mail_server_that_puts_us_off_for_minutes_does_too(company: Company) -> None:
    await company.staffed()
    company.peer.answer_next(TRY_LATER, times=MOST_TRIES)
    await company.calls()
    for _ in range(MOST_TRIES - 1):
        assert company.paged() == []
        await run_retries(company.notify)
    assert company.paged() == [ROOT]


async def test_a_call_that_reaches_nobody_is_measured(company: Company) -> None:
    """Neither shifts nor administrators: only the alert tells, until an escalation finds somebody."""
    await company.calls()
    await company.notify.advance(by=timedelta(minutes=10))
    assert 600 <= await company.unheard() < 660
    await company.staffed()
    await company.escalates(1)
    assert (company.paged(), await company.unheard()) == ([TOM], 0)


async def test_an_administrator_who_is_not_reached_either_is_measured(company: Company) -> None:
    await company.staffed()
    for address in (EVE, ROOT):
        company.peer.refuse(address)
    await company.calls()
    await company.notify.advance(by=timedelta(minutes=1))
    assert await company.unheard() >= 60


async def test_the_customer_is_told_each_step(company: Company) -> None:
    await put_contact(company.notify, company.story.customer_id)
    for fact in (company.story.registered_customer(), company.story.accepted(), company.story.registered()):
        await company.notify.tell(fact)
    await company.notify.run_due()
    told = len(company.peer.messages_to(ADDRESS))
    await company.calls()
    await company.acknowledges()
    now = await company.notify.now()
    end = EmergencyResolved(**company.ids(), outcome="restored", work_request_id=None, resolved_at=now)
    await company.notify.tell(end)
    await company.notify.run_due()
    assert len(company.peer.messages_to(ADDRESS)) == told + 3


async def test_addresses_of_staff_are_shown_masked_and_told_nowhere(company: Company) -> None:
    await company.staffed()
    shown = (await company.support.get("/v1/staff-contacts")).json()["items"]
    assert (shown[0]["subject"], shown[0]["email"]) == ("eve", "e***@company.example")
    assert (await company.notify.as_role(Role.TECHNICIAN).get("/v1/staff-contacts")).status_code == 403


async def test_shifts_are_checked(company: Company) -> None:
    now = await company.notify.now()
    answer = await company.shift("nobody")
    assert (answer.status_code, answer.json()["code"]) == (404, "NoSuchStaff")
    await company.reached("eve", EVE)
    wrong: list[dict[str, Any]] = [
        {"ends_at": (now - 2 * HOUR).isoformat()},
        {"starts_at": (now - 3 * HOUR).isoformat(), "ends_at": (now - HOUR).isoformat()},
        {"ends_at": (now + timedelta(days=32)).isoformat()},
    ]
    for changes in wrong:
        answer = await company.shift("eve", **changes)
        assert (answer.status_code, answer.json()["code"]) == (422, "ShiftImpossible")
    for position in (0, 10, "1"):
        assert (await company.shift("eve", position)).json()["code"] == "MalformedRequest"
    assert (await company.reached("eve", "not an address")).json()["code"] == "NotAnAddress"


async def test_a_cancelled_shift_pages_nobody_and_whoever_is_on_call_is_not_forgotten(company: Company) -> None:
    await company.reached("eve", EVE)
    shift = (await company.shift("eve")).json()["id"]
    answer = await company.admin.delete("/v1/staff-contacts/eve")
    assert (answer.status_code, answer.json()["code"]) == (409, "StillOnCall")
    assert [each["id"] for each in (await company.support.get("/v1/on-call")).json()["items"]] == [shift]
    assert (await company.support.post(f"/v1/on-call-shifts/{shift}/cancel")).status_code == 200
    again = await company.support.post(f"/v1/on-call-shifts/{shift}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "ShiftOver")
    assert (await company.support.get("/v1/on-call")).json()["items"] == []
    assert (await company.admin.delete("/v1/staff-contacts/eve")).status_code == 204
    assert (await company.admin.delete("/v1/staff-contacts/eve")).status_code == 404
    await company.calls()
    assert company.paged() == []
