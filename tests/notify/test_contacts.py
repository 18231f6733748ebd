"""Contacts over HTTP: whose they are, what is refused, and that they stay where they are."""

import pytest
import sqlalchemy as sa

from shared.kernel.ids import new_id
from shared.kit.auth import Role
from shared.kit.tables import audit_rows
from tests.notify.story import ADDRESS, put_contact
from tests.support.service import ServiceUnderTest


async def test_a_customer_puts_and_changes_its_contact(notify: ServiceUnderTest) -> None:
    customer_id = new_id()
    own = notify.as_role(Role.CUSTOMER, customer_id=customer_id)
    await put_contact(notify, customer_id, language="zh")
    await put_contact(notify, customer_id, language="en", email="Bob@Bücher.example")
    answer = await own.get(f"/v1/customers/{customer_id}/contact")
    assert answer.json() == {
        "customer_id": str(customer_id),
        "email": "Bob@xn--bcher-kva.example",
        "language": "en",
    }


async def test_another_customers_contact_is_not_found(notify: ServiceUnderTest) -> None:
    customer_id = new_id()
    await put_contact(notify, customer_id)
    stranger = notify.as_role(Role.CUSTOMER, customer_id=new_id())
    path = f"/v1/customers/{customer_id}/contact"
    for answer in (await stranger.get(path), await stranger.put(path, json={"email": "m@x.example", "language": "en"})):
        assert (answer.status_code, answer.json()["code"]) == (404, "NoSuchContact")


async def test_support_may_put_a_contact_and_finance_may_not_read_one(notify: ServiceUnderTest) -> None:
    path = f"/v1/customers/{new_id()}/contact"
    put = await notify.as_role(Role.SUPPORT).put(path, json={"email": ADDRESS, "language": "en"})
    assert put.status_code == 200
    assert (await notify.as_role(Role.FINANCE).get(path)).status_code == 403
    assert (await notify.anonymous().get(path)).status_code == 401


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"email": "nobody", "language": "en"}, "NotAnAddress"),
        ({"email": "a@b.example\r\nBcc: c@d.example", "language": "en"}, "MalformedRequest"),
        ({"email": ADDRESS, "language": "fr"}, "MalformedRequest"),
        ({"email": ADDRESS}, "MalformedRequest"),
        ({"email": ADDRESS, "language": "en", "phone": "1"}, "MalformedRequest"),
    ],
)
async def test_what_is_no_contact_is_refused_and_not_stored(
    notify: ServiceUnderTest, body: dict[str, str], code: str
) -> None:
    customer_id = new_id()
    own = notify.as_role(Role.CUSTOMER, customer_id=customer_id)
    answer = await own.put(f"/v1/customers/{customer_id}/contact", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert body["email"] not in answer.text
    assert (await own.get(f"/v1/customers/{customer_id}/contact")).status_code == 404


async def test_the_address_is_neither_audited_nor_announced(notify: ServiceUnderTest) -> None:
    customer_id = new_id()
    await put_contact(notify, customer_id)
    async with notify.runtime.database.reading() as reader:
        events = [row.event for row in await reader.rows(sa.select(audit_rows.c.event))]
    assert [event["verb"] for event in events] == ["put_contact"]
    assert "customer.example" not in str(events)
    assert await notify.announced() == []
