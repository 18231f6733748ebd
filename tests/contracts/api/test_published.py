"""What anybody may read: the agreement and the catalogue."""

import hashlib

import pytest

from tests.contracts.story import Story, problem


@pytest.fixture
def database_url(tmp_path: object) -> str:
    """Read from files: one database is enough."""
    return f"sqlite:///{tmp_path}/contracts.db"


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("version", ["current", "2026-1"])
async def test_the_hash_is_of_the_text_that_was_served(story: Story, language: str, version: str) -> None:
    answer = await story.service.anonymous().get(f"/v1/agreements/{version}", params={"language": language})
    served = answer.json()
    assert served["sha256"] == hashlib.sha256(served["text"].encode()).hexdigest()
    assert (served["version"], served["language"]) == ("2026-1", language)
    assert served["effective_from"] == "2026-01-01T00:00:00Z"
    assert served["parameters"]["renewal_window_days"] == 3


async def test_the_versions_are_listed(story: Story) -> None:
    listed = (await story.service.anonymous().get("/v1/agreements")).json()["items"]
    assert [(item["version"], item["current"], item["languages"]) for item in listed] == [
        ("2026-1", True, ["en", "zh"])
    ]


@pytest.mark.parametrize("path", ["/v1/agreements/1999-1", "/v1/agreements/..%2f..%2fsettings.py"])
async def test_an_unknown_version_is_not_found(story: Story, path: str) -> None:
    answer = await story.service.anonymous().get(path)
    assert answer.status_code == 404


async def test_an_unknown_language_is_refused(story: Story) -> None:
    answer = await story.service.anonymous().get("/v1/agreements/current?language=fr")
    assert problem(answer) == (422, "MalformedRequest", None)


async def test_plans_and_operations_are_public(story: Story) -> None:
    plans = (await story.service.anonymous().get("/v1/catalogue/plans")).json()["items"]
    operations = (await story.service.anonymous().get("/v1/catalogue/operations")).json()["items"]
    by_code = {plan["code"]: plan for plan in plans}
    assert by_code["care-monthly-cny"]["fee"] == {"minor": 179900, "currency": "CNY", "text": "1799.00 CNY"}
    assert by_code["essential-yearly-eur"]["term_months"] == 12
    assert {operation["risk"] for operation in operations} == {"low", "medium", "high"}
    assert all(set(plan["names"]) == {"en", "zh"} for plan in plans)


async def test_the_api_describes_itself(story: Story) -> None:
    document = (await story.service.anonymous().get("/openapi.json")).json()
    assert "/v1/contracts/{contract_id}/renew" in document["paths"]
    refused = document["paths"]["/v1/contracts/{contract_id}/renew"]["post"]["responses"]["409"]
    assert "AlreadyDecided" in refused["content"]["application/problem+json"]["examples"]
