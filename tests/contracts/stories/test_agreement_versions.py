"""The agreement in versions: what was accepted stays as it was, and a newer version is accepted with the renewal."""

from __future__ import annotations

import hashlib
import io
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from pypdf import PdfReader

from services.contracts import opening
from services.contracts.db.tables import accepted_versions
from services.contracts.domain.agreement import Language
from services.contracts.domain.agreement_text import sections_of
from shared.events.contracts import RenewalRequested, ServiceRenewed
from shared.kernel.ids import new_id
from shared.kit.auth import Role
from tests.contracts.stories.agreements import Folders
from tests.contracts.story import END, HOUR, OPENS, START, Story, problem
from tests.support.databases import Beginnings

NEWER = START + timedelta(days=7)


@pytest.fixture
def database_url(begun: Beginnings, tmp_path: Path) -> str:
    """What differs between databases is tried elsewhere."""
    return begun.on_sqlite(tmp_path / "contracts.db")


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folders:
    return Folders(tmp_path / "agreements", monkeypatch)


@pytest.fixture
def two_versions(folders: Folders) -> Folders:
    """Version 2030-1 takes effect a week after the service began: backups are kept for 60 days instead of 30."""
    folders.write(
        "2030-1",
        NEWER,
        en=[("backups for 30 days", "backups for 60 days")],
        zh=[("备份保留 30 日", "备份保留 60 日")],
        parameters=[("retention_days = 30", "retention_days = 60")],
    )
    folders.serve()
    return folders


# A running contract and its renewal


async def test_a_running_contract_keeps_its_version_until_its_renewal(story: Story, two_versions: Folders) -> None:
    """Given a contract under 2026-1, When 2030-1 takes effect and it renews, Then the next period has 2030-1. 3.3"""
    await story.active()
    await story.service.advance(to=OPENS)
    assert (await story.shown())["agreement_version"] == "2026-1"
    assert (await story.do("renew")).status_code == 200
    assert (await story.shown())["agreement_version"] == "2026-1"
    await story.pays(2, reported_at=OPENS, audited_at=OPENS + HOUR)
    [renewed] = await story.told(ServiceRenewed)
    assert (renewed.agreement_version, renewed.retention_days) == ("2030-1", 60)
    await story.service.advance(to=END)
    assert (await story.shown())["agreement_version"] == "2030-1"
    cited = {(kind, version) for kind, _, _, version in await story.decisions()}
    assert ("service.register", "2026-1") in cited
    assert ("service.renew", "2030-1") in cited


async def test_a_superseded_text_is_refused_and_the_offered_one_is_named(story: Story, two_versions: Folders) -> None:
    """Given two versions, When the older one is accepted or renewed by, Then it is refused and nothing is kept. 3.1"""
    await story.drafted()
    old = await story.offered()
    await story.do("accept", old)
    await story.service.advance(to=START)
    await story.pays(1, reported_at=START - HOUR, audited_at=START)
    await story.service.advance(to=OPENS)
    [new] = [each for each in two_versions.serve().versions if each.version == "2030-1"]
    for wrong in (
        old,
        {**old, "agreement_version": "2030-1"},
        {**old, "text_sha256": new.sha256(Language.EN)},
        {**old, "agreement_version": "2030-1", "text_sha256": new.sha256(Language.ZH)},
        {**old, "agreement_version": "2030-1", "text_sha256": "0" * 64},
    ):
        answer = await story.do("renew", wrong)
        assert problem(answer) == (409, "AgreementTextDiffers", "3.1")
        facts = answer.json()["facts"]
        assert (facts["offered_version"], facts["offered_sha256"]) == ("2030-1", new.sha256(Language.EN))
    assert await story.told(RenewalRequested) == []
    assert len(await accepted(story)) == 1


async def test_a_draft_made_before_a_new_version_accepts_the_new_one(story: Story, two_versions: Folders) -> None:
    """Given a draft of last week, When 2030-1 took effect meanwhile, Then only 2030-1 can be accepted. 3.1"""
    await story.drafted()
    old = await story.offered()
    await story.service.advance(to=NEWER)
    assert problem(await story.do("accept", old)) == (409, "AgreementTextDiffers", "3.1")
    assert (await story.shown())["agreement_version"] == "2030-1"
    assert (await story.do("accept")).status_code == 200
    assert (await story.decisions()) == [("contract.accept", "accepted", "3.1", "2030-1")]


async def test_a_language_that_is_not_offered_is_refused(story: Story) -> None:
    await story.drafted()
    answer = await story.do("accept", {**await story.offered(), "language": "fr"})
    assert problem(answer) == (422, "MalformedRequest", None)
    assert await accepted(story) == []


# What was accepted


async def test_the_customer_sees_all_that_is_on_record_of_its_acceptances(story: Story, two_versions: Folders) -> None:
    """Given an acceptance in Chinese and a renewal in English, Then both are shown: who, when, how, which text."""
    await story.drafted()
    first = await story.offered("zh")
    await story.do("accept", first)
    await story.service.advance(to=START)
    await story.pays(1, reported_at=START - HOUR, audited_at=START)
    await story.service.advance(to=OPENS)
    second = {**await story.offered(), "channel": "email"}
    assert (await story.support.post(f"/v1/contracts/{story.contract}/renew", json=second)).status_code == 200
    mine = await accepted(story)
    named = ("period_index", "agreement_version", "language", "text_sha256", "accepted_by", "channel", "address")
    assert [tuple(each[name] for name in named) for each in mine] == [
        (1, "2026-1", "zh", first["text_sha256"], "dev-customer", "portal", "127.0.0.1"),
        (2, "2030-1", "en", second["text_sha256"], "dev-support", "email", None),
    ]
    assert OPENS <= datetime.fromisoformat(mine[1]["accepted_at"]) < OPENS + HOUR


async def test_the_address_is_for_who_accepted_and_for_administrators(story: Story) -> None:
    """Given an acceptance, When others than these read it, Then the address is left out."""
    await story.accepted()
    seen = {
        role: [each["address"] for each in await accepted(story, story.service.as_role(role))]
        for role in (Role.SUPPORT, Role.TECHNICIAN, Role.FINANCE, Role.ADMIN)
    }
    assert seen == {
        Role.SUPPORT: [None],
        Role.TECHNICIAN: [None],
        Role.FINANCE: [None],
        Role.ADMIN: ["127.0.0.1"],
    }
    colleague = story.service.as_role(Role.CUSTOMER, customer_id=story.customer_id, subject="a-colleague")
    assert [each["address"] for each in await accepted(story, colleague)] == [None]


async def test_another_customers_acceptances_are_not_found(story: Story) -> None:
    await story.accepted()
    [mine] = await accepted(story)
    stranger = story.service.as_role(Role.CUSTOMER, customer_id=new_id())
    for path in ("acceptances", f"acceptances/{mine['id']}/text", "agreement.pdf", "plan"):
        there = await stranger.get(f"/v1/contracts/{story.contract}/{path}")
        nowhere = await stranger.get(f"/v1/contracts/{new_id()}/{path}")
        assert problem(there) == problem(nowhere) == (404, "NoSuchContract", None)


async def test_an_accepted_text_is_readable_for_ever(
    story: Story, two_versions: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given an accepted version, When its folder is lost, Then the very text is still shown under its hash."""
    await story.drafted()
    body = await story.offered("zh")
    text = (await story.http.get("/v1/agreements/current?language=zh")).json()["text"]
    await story.do("accept", body)
    away = two_versions.folder("2026-1").rename(two_versions.root.parent / "2026-1")
    two_versions.serve()
    [mine] = await accepted(story)
    shown = (await story.http.get(f"/v1/contracts/{story.contract}/acceptances/{mine['id']}/text")).json()
    assert (shown["text"], shown["language"]) == (text, "zh")
    assert hashlib.sha256(shown["text"].encode()).hexdigest() == shown["sha256"] == body["text_sha256"]
    missing = await story.http.get(f"/v1/contracts/{story.contract}/acceptances/{new_id()}/text")
    assert problem(missing) == (404, "NoSuchAcceptance", None)
    two_versions.put_back(away)


# A version that somebody accepted never changes


async def test_nothing_is_wrong_with_files_that_are_as_they_were_accepted(story: Story, folders: Folders) -> None:
    await story.accepted()
    assert await changed(story) == []
    kept = await story.service.scalar(sa.select(accepted_versions.c.terms))
    assert hashlib.sha256(kept.encode()).hexdigest() == folders.serve().version("2026-1").terms_sha256
    assert '"retention_days":30' in kept


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        (
            "en.md",
            ("costs you nothing", "costs you EUR 10"),
            "agreements/2026-1/en.md: customers accepted another text",
        ),
        (
            "parameters.toml",
            ("retention_days = 30", "retention_days = 3"),
            "agreements/2026-1/parameters.toml: customers accepted other parameters",
        ),
        (
            "parameters.toml",
            ("2026-01-01T00:00:00Z", "2025-01-01T00:00:00Z"),
            "agreements/2026-1/parameters.toml: customers accepted other parameters",
        ),
    ],
)
async def test_a_version_that_was_changed_after_it_was_accepted_serves_nobody(
    story: Story, folders: Folders, file: str, change: tuple[str, str], said: str
) -> None:
    """Given an accepted version, When text or parameters are edited, Then start-up names the file."""
    await story.accepted()
    folders.edit(folders.folder("2026-1") / file, change)
    folders.serve()
    [line] = await changed(story)
    assert line.startswith(said)
    await story.server()
    await story.drafted(server_ids=story.server_ids[1:])
    assert problem(await story.do("accept")) == (500, "UnexpectedFault", None)
    assert await story.status() == "draft"


async def test_a_text_nobody_accepted_yet_may_still_be_corrected(story: Story, folders: Folders) -> None:
    """Given an acceptance in English only, When the Chinese text is corrected, Then that is no change of it."""
    await story.accepted()
    folders.edit(folders.folder("2026-1") / "zh.md", ("至少每 24 小时", "每 24 小时"))
    folders.serve()
    assert await changed(story) == []


async def test_an_accepted_version_that_is_gone_is_missed(story: Story, two_versions: Folders) -> None:
    await story.accepted()
    away = two_versions.folder("2026-1").rename(two_versions.root.parent / "2026-1")
    two_versions.serve()
    assert await changed(story) == ["agreements/2026-1/en.md: customers accepted this version, and it is gone"]
    two_versions.put_back(away)
    assert await changed(story) == []


async def test_comments_and_what_a_later_release_adds_by_default_change_nothing(story: Story, folders: Folders) -> None:
    await story.accepted()
    folders.edit(folders.folder("2026-1") / "parameters.toml", ("retention_days = 30", "retention_days = 30 # a month"))
    folders.serve()
    assert await changed(story) == []


# What a version changes, and whom it reaches


async def test_a_diff_says_clause_by_clause_and_word_by_word_what_changes(story: Story, two_versions: Folders) -> None:
    shown = await diff(story, "en")
    assert [(each["number"], each["title"], each["change"]) for each in shown["sections"]] == [
        ("2.2", "Local backup", "changed")
    ]
    [section] = shown["sections"]
    different = [(each["piece"], each["text"].strip()) for each in section["pieces"] if each["piece"] != "same"]
    assert different == [("removed", "30"), ("added", "60")]
    assert shown["parameters"] == [{"name": "retention_days", "clause": "2.2", "old": 30, "new": 60}]
    chinese = (await diff(story, "zh"))["sections"][0]
    assert [each["text"].strip() for each in chinese["pieces"] if each["piece"] != "same"] == ["30", "60"]


async def test_a_diff_is_of_versions_that_are_published(story: Story, two_versions: Folders) -> None:
    same = await story.http.get("/v1/agreements/2026-1/diff?against=2026-1")
    assert (same.json()["sections"], same.json()["parameters"]) == ([], [])
    for path in ("/v1/agreements/2031-1/diff?against=2026-1", "/v1/agreements/2030-1/diff?against=1999-1"):
        assert problem(await story.http.get(path)) == (404, "NoSuchAgreement", None)
    by_default = (await story.http.get("/v1/agreements/2030-1/diff")).json()
    assert (by_default["old_version"], by_default["new_version"]) == ("2026-1", "2030-1")
    too_long = await story.http.get("/v1/agreements/2030-1/diff", params={"against": "9" * 41})
    assert problem(too_long) == (422, "MalformedRequest", None)


# On paper


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_the_agreement_on_paper_says_every_word_of_it(story: Story, language: str) -> None:
    answer = await story.service.anonymous().get(f"/v1/agreements/2026-1/pdf?language={language}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/pdf")
    served = (await story.http.get(f"/v1/agreements/2026-1?language={language}")).json()
    paper = squeezed(printed(answer.content))
    for section in sections_of(served["text"]):
        assert squeezed(section.body).lstrip("#") in paper, section.number
        assert squeezed(section.title) in paper
    assert served["sha256"] in paper
    again = await story.service.anonymous().get(f"/v1/agreements/2026-1/pdf?language={language}")
    assert again.content == answer.content


async def test_the_accepted_agreement_on_paper_says_what_was_accepted_and_by_whom(
    story: Story, two_versions: Folders
) -> None:
    await story.drafted()
    nothing = await story.http.get(f"/v1/contracts/{story.contract}/agreement.pdf")
    assert problem(nothing) == (404, "NoSuchAcceptance", None)
    body = await story.offered("zh")
    await story.do("accept", body)
    await story.service.advance(to=NEWER)
    answer = await story.http.get(f"/v1/contracts/{story.contract}/agreement.pdf")
    paper = squeezed(printed(answer.content))
    for said in (story.contract, "dev-customer", "portal", "2026-1", body["text_sha256"], "接受记录"):
        assert squeezed(said) in paper
    assert squeezed("备份保留 30 日") in paper
    assert "127.0.0.1" not in paper
    assert answer.headers["cache-control"] == "private, no-store"
    name = f"agreement-2026-1-{story.contract}.pdf"
    assert answer.headers["content-disposition"] == f"attachment; filename=\"{name}\"; filename*=UTF-8''{name}"
    none = await story.http.get(f"/v1/contracts/{story.contract}/agreement.pdf?period=7")
    assert problem(none) == (404, "NoSuchAcceptance", None)


async def test_any_name_and_channel_fits_on_paper(story: Story) -> None:
    """Given a token whose subject is of another script and has marks in it, Then both are printed as they are."""
    await story.drafted()
    odd = story.service.as_role(Role.SUPPORT, subject="张三 <b>&amp; ünî")
    answer = await odd.post(f"/v1/contracts/{story.contract}/accept", json=await story.offered())
    assert answer.status_code == 200, answer.text
    paper = await story.http.get(f"/v1/contracts/{story.contract}/agreement.pdf")
    assert squeezed("张三 <b>&amp; ünî") in squeezed(printed(paper.content))


def printed(content: bytes) -> str:
    return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(content)).pages)


def squeezed(text: str) -> str:
    """Without blanks: where lines are broken is the paper's business."""
    return re.sub(r"\s+", "", text)


async def accepted(story: Story, client: Any = None) -> list[dict[str, Any]]:
    answer = await (client or story.http).get(f"/v1/contracts/{story.contract}/acceptances")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


async def changed(story: Story) -> list[str]:
    """What start-up and the doctor would say."""
    async with story.service.runtime.database.reading() as reader:
        return await opening.changed_since_accepted(reader)


async def diff(story: Story, language: str) -> dict[str, Any]:
    path = f"/v1/agreements/2030-1/diff?against=2026-1&language={language}"
    found: dict[str, Any] = (await story.service.anonymous().get(path)).json()
    return found
