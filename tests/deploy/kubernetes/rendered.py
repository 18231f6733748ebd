"""The overlays as kustomize renders them, once for the whole run, and what tests ask of them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.infrastructure import kustomize, requirements

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "deploy" / "kubernetes"
OVERLAYS = ("overlays/development", "overlays/production", "examples/installation")
REPLICATED = OVERLAYS[1:]

Resource = dict[str, Any]


def resources(overlay: str, *kinds: str) -> list[Resource]:
    """All resources of an overlay, or those of some kinds; skips the test where there is no kustomize."""
    with requirements.or_do_without("kustomize"):
        return [each for each in _rendered(overlay) if not kinds or each["kind"] in kinds]


@cache
def _rendered(overlay: str) -> list[Resource]:
    return list(yaml.load_all(kustomize.render(FOLDER / overlay), Loader=yaml.CSafeLoader))


def name_of(resource: Resource) -> str:
    return f"{resource['kind']}/{resource['metadata']['name']}"


def workloads(overlay: str) -> list[Resource]:
    """Everything of ours that makes pods."""
    return resources(overlay, "Deployment", "StatefulSet", "Job", "CronJob")


def ends(workload: Resource) -> bool:
    """Its pods do one thing and are done."""
    return workload["kind"] in {"Job", "CronJob"}


def pod_of(workload: Resource) -> Resource:
    """The template's spec."""
    found: Resource = _template_of(workload)["spec"]
    return found


def labels_of(workload: Resource) -> dict[str, str]:
    """Those of its pods."""
    found: dict[str, str] = _template_of(workload)["metadata"]["labels"]
    return found


def _template_of(workload: Resource) -> Resource:
    spec = workload["spec"]
    found: Resource = (spec["jobTemplate"]["spec"] if workload["kind"] == "CronJob" else spec)["template"]
    return found


def containers(overlay: str) -> Iterator[tuple[str, Resource]]:
    """Each container with a name that says whose it is; those that come before are among them."""
    for workload in workloads(overlay):
        pod = pod_of(workload)
        for container in [*pod.get("initContainers", []), *pod["containers"]]:
            yield f"{name_of(workload)}/{container['name']}", container
