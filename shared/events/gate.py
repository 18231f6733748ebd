"""The gate of the published language: frozen schemas, sample events, and what may not change within a major."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from pydantic import ValidationError

from shared.events.envelope import Fact

Schema = dict[str, Any]

SCHEMAS = Path(__file__).parent / "schemas"
SAMPLES = Path(__file__).parent / "samples"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
_NAME = re.compile(r"(?P<family>[a-z]+/[a-z-]+\.v\d+)\.(?P<minor>\d+)")
_ANNOTATIONS = {"title", "description", "default", "examples", "$schema", "$id"}


@dataclass(frozen=True)
class Frozen:
    """One published minor: its schema and the sample event that every later reader must still read."""

    family: str
    minor: int
    schema: Schema
    sample: dict[str, Any]

    @property
    def name(self) -> str:
        return f"{self.family}.{self.minor}"


def frozen(schemas: Path = SCHEMAS, samples: Path = SAMPLES) -> list[Frozen]:
    """Everything published so far, by family and minor; a schema without its sample raises FileNotFoundError."""
    found = []
    for path in schemas.glob("*/*.json"):
        match = _NAME.fullmatch(f"{path.parent.name}/{path.stem}")
        if match:
            sample = json.loads((samples / path.parent.name / path.name).read_text(encoding="utf-8"))
            schema = json.loads(path.read_text(encoding="utf-8"))
            found.append(Frozen(match["family"], int(match["minor"]), schema, sample))
    return sorted(found, key=lambda one: (one.family, one.minor))


def schema_of(fact: type[Fact]) -> Schema:
    """The JSON Schema of a fact's data as its model has it now."""
    return {
        "$schema": DIALECT,
        "$id": f"urn:mainstay:schema:{fact.schema_name()}",
        **fact.model_json_schema(),
    }


def sample_of(schema: Schema) -> dict[str, Any]:
    """An event with every field set; the same schema always gives the same event."""
    sample: dict[str, Any] = _sample("", schema, schema.get("$defs", {}))
    return sample


def _sample(name: str, schema: Schema, definitions: Mapping[str, Schema]) -> Any:
    schema = _resolved(schema, definitions)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    for option in schema.get("anyOf", ()):
        if option.get("type") != "null":
            return _sample(name, option, definitions)
    match schema.get("type"):
        case "object":
            return {key: _sample(key, value, definitions) for key, value in schema.get("properties", {}).items()}
        case "array":
            return [_sample(name, schema["items"], definitions)]
        case "integer":
            return max(schema.get("minimum", 1), 1)
        case "number":
            return 1.5
        case "boolean":
            return True
    return _sample_text(name, schema)


def _sample_text(name: str, schema: Schema) -> str:
    match schema.get("format"):
        case "uuid":
            return str(uuid5(NAMESPACE_URL, f"urn:mainstay:sample:{name}"))
        case "date-time":
            return "2030-01-31T12:00:00Z"
        case "date":
            return "2030-01-31"
    if name == "currency":
        return "EUR"
    length = schema.get("minLength", 0)
    return ("a" * length) if length > len(name) else name[: schema.get("maxLength", 200)] or "text"


def bare(schema: Any) -> Any:
    """The schema without what readers ignore (titles, descriptions, defaults), references resolved."""
    definitions = schema.get("$defs", {})

    def strip(part: Any, *, names: bool = False) -> Any:
        if isinstance(part, list):
            return [strip(item) for item in part]
        if not isinstance(part, dict):
            return part
        if names:
            return {key: strip(value) for key, value in part.items()}
        whole = _resolved(part, definitions)
        return {
            key: sorted(value) if key == "required" else strip(value, names=key == "properties")
            for key, value in whole.items()
            if key not in _ANNOTATIONS and key != "$defs"
        }

    return strip(schema)


def breaks(older: Schema, newer: Schema) -> list[str]:
    """What `newer` may not do to `older` within one major; empty when old and new read each other."""
    return list(_breaks("", bare(older), bare(newer)))


def _breaks(where: str, older: Schema, newer: Schema) -> Iterator[str]:
    place = where or "the event"
    properties = older.get("properties")
    if properties is None or "properties" not in newer:
        if "enum" in older and "enum" in newer:
            yield from _enum_breaks(place, older, newer)
        elif older != newer:
            yield f"{place}: changed from {_short(older)} to {_short(newer)}"
        return
    later = newer["properties"]
    for name in properties:
        path = f"{where}.{name}" if where else name
        if name not in later:
            yield f"{path}: removed or renamed"
        elif "items" in properties[name] and "items" in later[name]:
            yield from _breaks(f"{path}[]", properties[name]["items"], later[name]["items"])
        else:
            yield from _breaks(path, properties[name], later[name])
    for name in sorted(set(newer.get("required", ())) - set(older.get("required", ()))):
        yield f"{where + '.' if where else ''}{name}: newly required"
    for name in sorted(set(older.get("required", ())) - set(newer.get("required", ()))):
        yield f"{where + '.' if where else ''}{name}: no longer always there"


def _enum_breaks(place: str, older: Schema, newer: Schema) -> Iterator[str]:
    for value in newer["enum"]:
        if value not in older["enum"]:
            yield f"{place}: new closed value {value!r}"
    for value in older["enum"]:
        if value not in newer["enum"]:
            yield f"{place}: value {value!r} removed"


def problems(facts: list[type[Fact]], published: list[Frozen]) -> list[str]:
    """Everything that keeps these facts from being published; empty when the gate is open."""
    found: list[str] = []
    families: dict[str, list[Frozen]] = {}
    for one in published:
        families.setdefault(one.family, []).append(one)
    for fact in facts:
        family = fact.schema_name().rsplit(".", 1)[0]
        found += [f"{fact.schema_name()}: {problem}" for problem in _fact_problems(fact, families.get(family, []))]
    for versions in families.values():
        for older, newer in pairwise(versions):
            found += [f"{newer.name}: {broken}" for broken in breaks(older.schema, newer.schema)]
    return found


def _fact_problems(fact: type[Fact], versions: list[Frozen]) -> Iterator[str]:
    present = schema_of(fact)
    own = next((one for one in versions if one.minor == fact.minor), None)
    if own is None:
        yield "has no frozen schema: run `mainstay schemas freeze`"
    elif bare(own.schema) != bare(present):
        yield "differs from its frozen schema: raise `minor` (or `major`) and freeze again"
    for one in versions:
        try:
            fact.model_validate(one.sample)
        except ValidationError as error:
            fields = sorted({".".join(map(str, item["loc"])) for item in error.errors(include_input=False)})
            yield f"no longer reads the sample of {one.name} at {', '.join(fields)}"
        if one.minor < fact.minor:
            yield from (f"a new event does not fit {one.name}: {reason}" for reason in _misfits(present, one.schema))


def _misfits(present: Schema, older: Schema) -> list[str]:
    # Only the gate needs a validator; services never load it.
    from jsonschema import Draft202012Validator

    validator = Draft202012Validator(older, format_checker=Draft202012Validator.FORMAT_CHECKER)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(sample_of(present))]


def _resolved(schema: Schema, definitions: Mapping[str, Schema]) -> Schema:
    reference = schema.get("$ref")
    if reference is None:
        return schema
    beside = {key: value for key, value in schema.items() if key != "$ref"}
    return {**definitions[reference.rsplit("/", 1)[-1]], **beside}


def _short(schema: Schema) -> str:
    return json.dumps(schema, sort_keys=True)[:120]
