"""Why was it decided so? A decision shows clause, text, facts and numbers, and comes out the same when judged again."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from services.contracts.db import agreements
from services.contracts.domain.agreement import Agreements, Language
from services.contracts.domain.choice import accepting
from services.contracts.domain.clause import clause_of
from shared.kernel.ids import new_id
from shared.kernel.judgement import Verdict
from shared.kit.auth import Role
from shared.kit.decisions import CLAUSE_READ_AT
from tests.contracts.story import END, HOUR, OPENS, SECOND_END, START, Story, problem

NEWER = "2030-1"


async def decision(story: Story, kind: str, subject: str | None = None) -> dict[str, Any]:
    """The newest of that kind, explained to the customer."""
    listed = await story.http.get("/v1/decisions", params={"subject_id": subject or story.contract, "limit": 200})
    newest = [each for each in listed.json()["items"] if each["kind"] == kind][-1]
    answer = await story.http.get(f"/v1/decisions/{newest['id']}")
    assert answer.status_code == 200, answer.text
    explained: dict[str, Any] = answer.json()
    return explained


async def test_a_customer_reads_why_its_service_expired(story: Story) -> None:
    """Given a service that nobody renewed, when it has expired, then the customer reads 3.4, the facts and by whom."""
    await story.active()
    await story.service.advance(to=END)

    explained = await decision(story, "service.expire")

    assert (explained["verdict"], explained["clause"], explained["agreement_version"]) == ("expired", "3.4", "2026-1")
    assert explained["facts"] == {
        "period_index": 1,
        "reason": "not-renewed",
        "ends_at": END.isoformat(),
        "ended_at": END.isoformat(),
    }
    assert explained["clause_accepted"] == {
        "number": "3.4",
        "agreement_version": "2026-1",
        "read_at": "/contracts/v1/agreements/2026-1/clauses/3.4",
        "language": "en",
        "title": "Late payment",
        "text": ("**3.4 Late payment.** Loss that arises because you did not pay in time is not ours to answer for."),
    }


async def test_the_clause_is_quoted_in_the_language_that_was_accepted(story: Story) -> None:
    """Given a contract accepted in Chinese by a customer that speaks English, its decisions quote the Chinese text."""
    await story.drafted()
    assert (await story.do("accept", await story.offered("zh"))).status_code == 200

    clause = (await decision(story, "contract.accept"))["clause_accepted"]

    text = agreements.published().version("2026-1").texts[Language.ZH]
    assert (clause["language"], clause["text"]) == ("zh", clause_of(text, "3.1").text)
    assert clause["text"].startswith("**3.1 预付、书面、以目录为限。** 所有服务均须预付费用。")


async def test_two_contracts_in_two_languages_are_explained_each_in_its_own(story: Story) -> None:
    await story.accepted()
    in_english = story.contract
    await story.server()
    await story.drafted(server_ids=story.server_ids[1:])
    assert (await story.do("accept", await story.offered("zh"))).status_code == 200

    assert (await decision(story, "contract.accept", in_english))["clause_accepted"]["language"] == "en"
    assert (await decision(story, "contract.accept"))["clause_accepted"]["language"] == "zh"


async def test_the_numbers_that_decided_are_shown(story: Story) -> None:
    """Given a contract accepted by e-mail, the customer reads which channels count as written under its version."""
    await accepted_by_email(story)
    explained = await decision(story, "contract.accept")
    assert (explained["verdict"], explained["facts"]["channel"]) == ("accepted", "email")
    assert explained["parameters"] == {"written_channels": ["portal", "api", "email"]}
    assert explained["clause_accepted"]["title"] == "Prepaid, in writing, from the catalogue"


async def test_the_list_stays_light(story: Story) -> None:
    await story.accepted()
    listed = (await story.http.get("/v1/decisions")).json()["items"]
    assert [each["kind"] for each in listed] == ["contract.accept"]
    assert "clause_accepted" not in listed[0]


async def test_another_customer_is_told_neither_the_decision_nor_its_replay(story: Story) -> None:
    await story.accepted()
    [made] = (await story.http.get("/v1/decisions")).json()["items"]
    stranger = story.service.as_role(Role.CUSTOMER, customer_id=new_id())
    for path in ("", "/replay"):
        theirs = await stranger.get(f"/v1/decisions/{made['id']}{path}")
        unknown = await stranger.get(f"/v1/decisions/{new_id()}{path}")
        assert problem(theirs) == problem(unknown) == (404, "NoSuchDecision", None)


async def test_a_decision_is_judged_again_by_its_own_agreement_after_a_newer_one_has_other_numbers(
    story: Story, newer_agreement: Agreements
) -> None:
    """Given an acceptance by e-mail, when a version is in force by which e-mail is not written, it still holds."""
    await accepted_by_email(story)
    await story.service.advance(to=OPENS)
    assert (await story.http.get("/v1/agreements/current")).json()["version"] == NEWER
    made = await decision(story, "contract.accept")

    replayed = (await story.http.get(f"/v1/decisions/{made['id']}/replay")).json()

    assert replayed == {
        "decision_id": made["id"],
        "kind": "contract.accept",
        "agreement_version": "2026-1",
        "outcome": "same",
        "kept": {"word": "accepted", "clause": "3.1"},
        "again": {"word": "accepted", "clause": "3.1"},
        "trouble": None,
    }
    by_the_newer = accepting.judge(made["facts"], newer_agreement.version(NEWER).parameters.shown())
    assert by_the_newer.verdict == Verdict("refused", "3.1")


async def test_decisions_on_both_sides_of_a_renewal_each_cite_the_agreement_accepted_for_their_period(
    story: Story, newer_agreement: Agreements
) -> None:
    """Given a renewal that accepted a newer version in Chinese, the first period is explained by the older one."""
    await story.active()
    await story.service.advance(to=OPENS)
    assert (await story.do("renew", await story.offered("zh"))).status_code == 200
    await story.pays(2, reported_at=OPENS, audited_at=OPENS + HOUR)
    await story.service.advance(to=SECOND_END)

    explained = [await decision(story, kind) for kind in ("contract.renew", "service.renew", "service.expire")]

    assert [each["clause_accepted"]["agreement_version"] for each in explained] == ["2026-1", NEWER, NEWER]
    assert [each["clause_accepted"]["language"] for each in explained] == ["en", "zh", "zh"]
    for each in explained:
        replayed = (await story.http.get(f"/v1/decisions/{each['id']}/replay")).json()
        assert replayed["outcome"] == "same"


async def test_a_number_that_was_changed_after_the_fact_shows_in_the_replay(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given an accepted version whose folder was edited, judging again tells which number is another one now."""
    await story.accepted()
    made = await decision(story, "contract.accept")
    first = agreements.published().version("2026-1")
    more = replace(first.parameters, written_channels=("portal", "api", "email", "fax"))
    with monkeypatch.context() as edited:
        edited.setattr(agreements, "published", lambda: Agreements((replace(first, parameters=more),)))
        replayed = (await story.http.get(f"/v1/decisions/{made['id']}/replay")).json()
    assert (replayed["outcome"], replayed["trouble"]) == ("different", "judged by another written_channels")


@pytest.mark.parametrize("language", Language)
async def test_anybody_reads_one_clause_of_a_version(story: Story, language: Language) -> None:
    """Where a decision of another service says that its clause is read, without signing in."""
    anybody = story.service.anonymous()
    read_at = CLAUSE_READ_AT.format(version="2026-1", clause="3.2").removeprefix("/contracts")
    whole = (await anybody.get("/v1/agreements/2026-1", params={"language": language})).json()

    clause = (await anybody.get(read_at, params={"language": language})).json()

    assert clause["text"] in whole["text"]
    assert clause["text"].startswith(f"**3.2 {clause['title']}")
    assert (clause["number"], clause["agreement_version"]) == ("3.2", "2026-1")
    assert (clause["text_sha256"], clause["language"]) == (whole["sha256"], language)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("2026-1/clauses/9.9", "NoSuchClause"),
        ("2026-1/clauses/3", "NoSuchClause"),
        ("1999/clauses/3.2", "NoSuchAgreement"),
    ],
)
async def test_a_clause_that_is_not_there_is_refused(story: Story, path: str, code: str) -> None:
    answer = await story.http.get(f"/v1/agreements/{path}")
    assert problem(answer) == (404, code, None)


async def accepted_by_email(story: Story) -> None:
    await story.drafted()
    assert (await story.do("accept", await story.offered() | {"channel": "email"})).status_code == 200


@pytest.fixture
def newer_agreement(monkeypatch: pytest.MonkeyPatch) -> Agreements:
    """A version in force from a week after START on, by which e-mail is not written."""
    first = agreements.published().version("2026-1")
    newer = replace(
        first,
        version=NEWER,
        effective_from=START + timedelta(days=7),
        texts={language: f"{text}\n2030" for language, text in first.texts.items()},
        parameters=replace(first.parameters, written_channels=("portal", "api")),
    )
    book = Agreements((first, newer))
    monkeypatch.setattr(agreements, "published", lambda: book)
    return book
