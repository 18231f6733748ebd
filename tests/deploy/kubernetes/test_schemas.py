"""Every overlay fits two releases of Kubernetes and the operators' definitions; what they do not know is refused."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft4Validator

from tests.deploy.kubernetes.rendered import OVERLAYS, Resource, name_of, resources

SCHEMAS = Path(__file__).parent / "schemas"
RELEASES = sorted(path.stem for path in SCHEMAS.glob("kubernetes-*.json"))
OPERATORS = sorted(path.stem for path in SCHEMAS.glob("*.json") if path.stem not in RELEASES)
METADATA = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_fits_the_schemas(overlay: str, release: str) -> None:
    assert list(complaints(resources(overlay), release)) == []


def test_the_schemas_are_those_of_two_releases() -> None:
    assert len(RELEASES) == 2


@pytest.mark.parametrize(
    ("kind", "at"),
    [
        ("Deployment", []),
        ("Deployment", ["metadata"]),
        ("Deployment", ["spec", "template", "spec"]),
        ("Job", ["spec", "template", "spec", "containers", 0, "securityContext"]),
        ("NetworkPolicy", ["spec"]),
        ("Cluster", ["spec", "postgresql"]),
        ("KafkaNodePool", ["metadata"]),
        ("KafkaNodePool", ["spec", "template", "pod"]),
        ("ScaledObject", ["spec"]),
    ],
)
def test_an_unknown_field_is_refused_wherever_it_is(kind: str, at: list[str | int]) -> None:
    broken = copy.deepcopy(resources("overlays/production", kind)[0])
    part: Any = broken
    for step in at:
        part = part[step]
    part["mistyped"] = 1
    assert list(complaints([broken], RELEASES[0]))


def test_a_value_of_the_wrong_type_is_refused() -> None:
    broken = copy.deepcopy(resources("overlays/production", "PodDisruptionBudget")[0])
    broken["spec"]["maxUnavailable"] = ["1"]
    assert list(complaints([broken], RELEASES[0]))


def complaints(found: list[Resource], release: str) -> Iterator[str]:
    kubernetes = _schemas_in(release)
    operators = {kind: judge for name in OPERATORS for kind, judge in _schemas_in(name).items()}
    for resource in found:
        kind = f"{resource['apiVersion']}/{resource['kind']}"
        judge = kubernetes.get(kind) or operators.get(kind)
        if judge is None:
            yield f"{kind} has no schema: add it to distilling.py"
            continue
        judges = [judge] if kind in kubernetes else [judge, _metadata_in(release)]
        for validator, part in zip(judges, (resource, resource["metadata"]), strict=False):
            yield from (f"{name_of(resource)}: {_told(error)}" for error in validator.iter_errors(part))


def _told(error: Any) -> str:
    return f"{'.'.join(map(str, error.absolute_path))}: {error.message[:200]}"


@cache
def _schemas_in(name: str) -> dict[str, Draft4Validator]:
    read = json.loads((SCHEMAS / f"{name}.json").read_bytes())
    return {
        kind: Draft4Validator({**schema, "definitions": read["definitions"]}) for kind, schema in read["kinds"].items()
    }


@cache
def _metadata_in(release: str) -> Draft4Validator:
    read = json.loads((SCHEMAS / f"{release}.json").read_bytes())
    return Draft4Validator({"$ref": f"#/definitions/{METADATA}", "definitions": read["definitions"]})
