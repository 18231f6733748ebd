"""The published language is frozen, lives with its producer, and nobody speaks into the void."""

import inspect
import json
from importlib import import_module
from pkgutil import iter_modules

import pytest

from shared.events.envelope import Fact
from shared.events.registry import FACTS
from tests.structure.house import ROOT, SERVICES, heard_by_name, heard_by_topic

SCHEMAS = ROOT / "shared" / "events" / "schemas"


def _type_name(fact: type[Fact]) -> str:
    return fact.__name__


@pytest.mark.parametrize("fact", FACTS, ids=_type_name)
def test_an_event_lives_in_its_producers_module(fact: type[Fact]) -> None:
    assert fact.producer in SERVICES
    assert f"{fact.__module__}.".startswith(f"shared.events.{fact.producer}.")


@pytest.mark.parametrize("fact", FACTS, ids=_type_name)
def test_an_event_has_a_frozen_schema(fact: type[Fact]) -> None:
    path = SCHEMAS / f"{fact.schema_name()}.json"
    assert path.exists(), f"{fact.__name__}: run `mainstay schemas freeze` and commit {path.relative_to(ROOT)}"
    frozen = json.loads(path.read_text(encoding="utf-8"))
    assert set(fact.model_json_schema()["properties"]) == set(frozen["properties"]), "a new field is a new minor"


@pytest.mark.parametrize("fact", FACTS, ids=_type_name)
def test_an_event_has_a_consumer_or_is_public(fact: type[Fact]) -> None:
    if fact.for_partners is not None:
        return
    heard = any(fact in heard_by_name(service) | heard_by_topic(service) for service in SERVICES)
    assert heard, f"nobody hears {fact.__name__}: say what it is for (for_partners) or do not say it"


@pytest.mark.parametrize("producer", SERVICES)
def test_every_fact_of_a_module_is_registered_once(producer: str) -> None:
    module = import_module(f"shared.events.{producer}")
    subjects = [
        import_module(f"{module.__name__}.{found.name}") for found in iter_modules(getattr(module, "__path__", []))
    ]
    written = {
        kind
        for part in [module, *subjects]
        for kind in vars(part).values()
        if inspect.isclass(kind)
        and issubclass(kind, Fact)
        and "kind" in vars(kind)
        and kind.__module__ == part.__name__
    }
    assert written == set(module.FACTS)
    assert {kind.__name__ for kind in written} <= vars(module).keys(), "a fact is imported from its producer's module"
    assert len({fact.type_name() for fact in FACTS}) == len(FACTS)


NAMES_OF_SECRETS = {"secret_id", "secret_version", "secret_kind"}
"""Which one it is, and nothing of it."""


@pytest.mark.parametrize("fact", FACTS, ids=_type_name)
def test_what_partners_read_is_part_of_the_fact_and_its_key_is_a_field(fact: type[Fact]) -> None:
    assert fact.key in fact.model_fields
    assert (fact.for_partners or set()) <= fact.model_fields.keys()
    assert fact.__doc__, f"{fact.__name__} says in a docstring what happened"


@pytest.mark.parametrize("fact", FACTS, ids=_type_name)
def test_an_event_carries_no_contact_data(fact: type[Fact]) -> None:
    personal = ("email", "e_mail", "phone", "address", "legal_name", "tax_id", "password", "token", "secret")
    told = fact.model_fields.keys() - NAMES_OF_SECRETS
    assert not [field for field in told if any(word in field for word in personal)]


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_hears_only_others(service: str) -> None:
    own = [fact.__name__ for fact in heard_by_name(service) if fact.producer == service]
    assert not own, "a service knows what it did itself"
