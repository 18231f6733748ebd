"""The alert rules of deploy/observability as resources for the Prometheus operator."""

from __future__ import annotations

from pathlib import Path
from textwrap import indent

RULES = Path(__file__).parents[1] / "observability" / "rules"
FOLDER = "deploy/kubernetes/overlays/production/rules"
_HEAD = """\
# Made by `mainstay docs write` from deploy/observability/rules/{file}.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: mainstay-{name}
spec:
"""


def documents() -> dict[str, str]:
    """Path below the checkout → text: a resource for each file of rules, and what lists them for kustomize."""
    files = sorted(RULES.glob("*.yml"))
    found = {f"{FOLDER}/{file.stem}.yaml": _resource(file) for file in files}
    listed = "".join(f"  - {file.stem}.yaml\n" for file in files)
    head = "# Made by `mainstay docs write`.\napiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
    return found | {f"{FOLDER}/kustomization.yaml": f"{head}resources:\n{listed}"}


def _resource(file: Path) -> str:
    return _HEAD.format(file=file.name, name=file.stem) + indent(file.read_text(encoding="utf-8"), "  ")
