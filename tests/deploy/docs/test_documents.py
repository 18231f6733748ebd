"""Generated documents: complete, consistent in themselves, and never changed once frozen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.docs import yaml
from deploy.docs.asyncapi import asyncapi
from deploy.docs.freezing import FrozenAlready, freeze
from deploy.docs.generating import openapi
from deploy.services import SERVICES
from shared.events import gate
from shared.events.registry import FACTS, TOPICS


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return asyncapi("1.2.3")


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        for key, value in part.items():
            if key == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(part, list):
        for value in part:
            yield from references(value)


def resolve(document: dict[str, Any], reference: str) -> Any:
    part: Any = document
    for name in reference.removeprefix("#/").split("/"):
        part = part[name]
    return part


def test_every_reference_of_the_asyncapi_document_leads_somewhere(document: dict[str, Any]) -> None:
    for reference in references(document):
        assert resolve(document, reference)


def test_every_fact_is_a_message_of_its_topic(document: dict[str, Any]) -> None:
    assert set(TOPICS) | {"partner"} == set(document["channels"])
    for fact in FACTS:
        message = document["channels"][fact.topic()]["messages"][fact.kind]
        assert resolve(document, message["$ref"])["name"] == fact.type_name()


def test_a_partner_is_shown_only_what_it_may_read(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for fact in FACTS:
        shown = schemas.get(f"{fact.__name__}ForPartners")
        if fact.for_partners is None:
            assert shown is None
        else:
            assert set(shown["properties"]) == fact.for_partners | {"customer_id"}


@pytest.mark.parametrize("service", SERVICES)
def test_every_reference_of_an_openapi_document_leads_somewhere(service: str) -> None:
    found = openapi(service)
    assert found["servers"] == [{"url": f"/{service}"}]
    for reference in references(found):
        assert resolve(found, reference)


@pytest.mark.parametrize("service", SERVICES)
def test_an_openapi_document_does_not_depend_on_this_machine(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = openapi(service)
    monkeypatch.setenv("MAINSTAY_CLOCK", "virtual")
    monkeypatch.setenv(f"MAINSTAY_{service.upper()}_DATABASE_URL", "postgresql://nobody@nowhere/nothing")
    assert openapi(service) == before


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": {"b": 1, "c": [True, None, "x: y"]}}, 'a:\n  b: 1\n  c:\n    - true\n    - null\n    - "x: y"\n'),
        ({"$ref": "#/a", "on": 1}, '$ref: "#/a"\n"on": 1\n'),
        ([{"a": 1, "b": []}, [1]], "- a: 1\n  b: []\n- - 1\n"),
    ],
)
def test_yaml_is_plain_and_unambiguous(value: Any, text: str) -> None:
    assert yaml.dump(value) == text


def test_freezing_writes_schema_and_sample_once(tmp_path: Path) -> None:
    schemas, samples = tmp_path / "schemas", tmp_path / "samples"
    assert len(freeze(FACTS, schemas, samples)) == 2 * len(FACTS)
    assert freeze(FACTS, schemas, samples) == []
    assert gate.problems(FACTS, gate.frozen(schemas, samples)) == []


def test_a_frozen_schema_is_never_changed(tmp_path: Path) -> None:
    schemas, samples = tmp_path / "schemas", tmp_path / "samples"
    freeze(FACTS, schemas, samples)
    path = schemas / f"{FACTS[0].schema_name()}.json"
    other = json.dumps({**json.loads(path.read_text()), "required": []})
    path.write_text(other)
    with pytest.raises(FrozenAlready):
        freeze(FACTS, schemas, samples)
    assert path.read_text() == other
