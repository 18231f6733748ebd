"""The pages around the services, the development issuer and the mailbox."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from email.message import EmailMessage
from pathlib import Path

import aiosmtplib
import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette

from deploy.site import pages
from deploy.site.app import site
from deploy.site.mailbox import MailboxAt, open_mailbox
from deploy.site.settings import SiteSettings
from shared.kit.auth import Role
from shared.kit.runtime import embedded_authenticator
from shared.kit.settings import CommonSettings

FOLDER = Path(pages.__file__).parent
ANY_PORT = SiteSettings(mailbox_port=0)


@asynccontextmanager
async def nothing(_app: FastAPI) -> AsyncIterator[None]:
    yield


async def all_well() -> Mapping[str, str]:
    return {"contracts": "ok"}


def browser(
    common: CommonSettings, *, mailbox: MailboxAt | None = None, ready: object = None, landing: bool = True
) -> httpx.AsyncClient:
    app = site(
        common,
        services={"contracts": Starlette()},
        ready=ready or all_well,  # type: ignore[arg-type]
        lifespan=nothing,
        mailbox=mailbox,
        landing=landing,
    )
    return httpx.AsyncClient(transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://site")


@pytest.fixture
def common(tmp_path: Path) -> CommonSettings:
    return CommonSettings(data_dir=tmp_path, clock="virtual")


async def test_the_landing_page_leads_everywhere(common: CommonSettings) -> None:
    async with browser(common) as client:
        answer = await client.get("/")
        assert answer.status_code == 200
        for link in ("/contracts/docs", "/billing/docs", "/asyncapi", "/readyz", "/metrics"):
            assert f'href="{link}"' in answer.text
        for role in ("customer", "partner", "support", "technician", "finance", "admin"):
            assert f'data-role="{role}"' in answer.text
        assert "script-src 'self'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    "path", [*FOLDER.glob("templates/*.html"), *FOLDER.glob("assets/*")], ids=lambda path: str(path.name)
)
def test_nothing_on_a_page_comes_from_elsewhere(path: Path) -> None:
    foreign = set(re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}[^\s\"']*", path.read_text()))
    assert foreign <= {"http://www.w3.org/2000/svg"}


async def test_every_asset_a_page_names_is_served(common: CommonSettings) -> None:
    async with browser(common) as client:
        for path in ("/", "/contracts/docs", "/asyncapi"):
            for asset in re.findall(r'(?:src|href)="(/assets/[^"]+)"', (await client.get(path)).text):
                assert (await client.get(asset)).status_code == 200


async def test_the_events_are_served_as_json_and_yaml(common: CommonSettings) -> None:
    async with browser(common) as client:
        assert (await client.get("/docs/asyncapi.json")).json()["asyncapi"] == "3.0.0"
        assert (await client.get("/docs/asyncapi.yaml")).text.startswith('asyncapi: "3.0.0"\n')


async def test_a_path_that_is_nowhere_is_a_problem(common: CommonSettings) -> None:
    async with browser(common) as client:
        answer = await client.get("/nowhere")
        assert (answer.status_code, answer.json()["code"]) == (404, "NoSuchPath")


async def test_readiness_names_the_part_that_is_away(common: CommonSettings) -> None:
    async def trouble() -> Mapping[str, str]:
        return {"contracts": "ok", "billing": "DatabaseAway"}

    async with browser(common, ready=trouble) as client:
        answer = await client.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["parts"] == {"contracts": "ok", "billing": "DatabaseAway"}
        assert (await client.get("/livez")).status_code == 200


async def test_a_token_of_the_development_issuer_is_one_the_services_take(common: CommonSettings) -> None:
    customer = "01a206f0-62a5-7949-9bcc-0769cc2fa122"
    form = {"grant_type": "client_credentials", "role": "customer", "customer_id": customer, "subject": "ada"}
    async with browser(common) as client:
        token = (await client.post("/dev-issuer/token", data=form)).json()
    caller = await embedded_authenticator(common).caller_of(f"Bearer {token['access_token']}")
    assert (caller.subject, caller.roles, str(caller.customer_id)) == ("ada", frozenset({Role.CUSTOMER}), customer)
    assert token["token_type"] == "Bearer"
    assert token["expires_in"] > 3600


async def test_discovery_leads_to_the_keys(common: CommonSettings) -> None:
    async with browser(common) as client:
        found = (await client.get("/dev-issuer/.well-known/openid-configuration")).json()
        assert found["issuer"] == common.issuer
        keys = (await client.get("/dev-issuer/jwks")).json()["keys"]
        assert found["jwks_uri"] == f"{common.issuer}/jwks"
        assert "d" not in keys[0]


@pytest.mark.parametrize(
    "form",
    [
        {"grant_type": "password", "role": "admin"},
        {"grant_type": "client_credentials", "role": "emperor"},
        {"grant_type": "client_credentials"},
        {"grant_type": "client_credentials", "role": "customer", "customer_id": "me"},
    ],
    ids=str,
)
async def test_a_malformed_request_for_a_token_is_a_problem(common: CommonSettings, form: dict[str, str]) -> None:
    async with browser(common) as client:
        answer = await client.post("/dev-issuer/token", data=form)
        assert (answer.status_code, answer.json()["code"]) == (422, "MalformedRequest")


async def test_production_has_neither_issuer_nor_mailbox(tmp_path: Path) -> None:
    common = CommonSettings(data_dir=tmp_path, mode="production", oidc_issuer="https://issuer.example")
    async with AsyncExitStack() as stack, browser(common) as client:
        assert await open_mailbox(stack, common, ANY_PORT) is None
        assert (await client.post("/dev-issuer/token")).status_code == 404
        assert (await client.get("/mailbox")).status_code == 404
        assert "data-role" not in (await client.get("/")).text


async def test_an_issuer_of_the_operator_replaces_the_development_issuer(tmp_path: Path) -> None:
    common = CommonSettings(data_dir=tmp_path, oidc_issuer="https://issuer.example")
    async with browser(common) as client:
        assert (await client.get("/dev-issuer/jwks")).status_code == 404


async def test_mail_sent_to_the_mailbox_is_read_there(common: CommonSettings) -> None:
    async with AsyncExitStack() as stack:
        mailbox = await open_mailbox(stack, common, ANY_PORT)
        assert mailbox is not None
        client = await stack.enter_async_context(browser(common, mailbox=mailbox))
        await send("ada@customer.example", "您的服务将到期", "请续期。\n", mailbox.smtp_port)
        await send("bob@customer.example", "Hello <b>", "Text\n", mailbox.smtp_port)
        everything = (await client.get("/mailbox/messages")).json()["items"]
        assert [message["to"] for message in everything] == [["bob@customer.example"], ["ada@customer.example"]]
        own = (await client.get("/mailbox/messages", params={"to": "ADA@customer.example"})).json()["items"]
        assert [(message["subject"], message["text"].strip()) for message in own] == [("您的服务将到期", "请续期。")]
        shown = (await client.get("/mailbox")).text
        assert "Hello &lt;b&gt;" in shown


async def test_the_mailbox_takes_another_port_when_its_own_is_taken(common: CommonSettings) -> None:
    async with AsyncExitStack() as stack:
        first = await open_mailbox(stack, common, ANY_PORT)
        assert first is not None
        second = await open_mailbox(stack, common, SiteSettings(mailbox_port=first.smtp_port))
        assert second is not None
        assert second.smtp_port != first.smtp_port


async def send(to: str, subject: str, text: str, port: int) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "notices@mainstay.example", to, subject
    message.set_content(text)
    await aiosmtplib.send(message, hostname="127.0.0.1", port=port)
