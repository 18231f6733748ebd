"""Makes the schemas beside this file out of what Kubernetes and the operators publish, kept strict and small.

`python -m tests.deploy.kubernetes.distilling` fetches the modules below; it needs Go, Maven and Java 21 or later.
"""

import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

SCHEMAS = Path(__file__).parent / "schemas"
KUBERNETES = {"1.35": "v1.35.4", "1.37": "v1.37.2"}
KINDS = [
    "core.v1.Namespace", "core.v1.ServiceAccount", "core.v1.ConfigMap", "core.v1.Service", "core.v1.Secret",
    "core.v1.PersistentVolumeClaim", "apps.v1.Deployment", "apps.v1.StatefulSet", "batch.v1.Job",
    "batch.v1.CronJob",
    "policy.v1.PodDisruptionBudget", "autoscaling.v2.HorizontalPodAutoscaler",
    "networking.v1.NetworkPolicy", "networking.v1.Ingress",
]  # fmt: skip
CRDS = {
    "cloudnative-pg": (
        "github.com/cloudnative-pg/cloudnative-pg@v1.30.1",
        [f"config/crd/bases/postgresql.cnpg.io_{name}.yaml" for name in ("clusters", "databases", "scheduledbackups")],
    ),
    "barman-cloud": (
        "github.com/cloudnative-pg/plugin-barman-cloud@v0.15.0",
        ["config/crd/bases/barmancloud.cnpg.io_objectstores.yaml"],
    ),
    "keda": ("github.com/kedacore/keda/v2@v2.21.0", ["config/crd/bases/keda.sh_scaledobjects.yaml"]),
    "prometheus-operator": (
        "github.com/prometheus-operator/prometheus-operator@v0.85.0",
        [
            f"example/prometheus-operator-crd/monitoring.coreos.com_{name}.yaml"
            for name in ("podmonitors", "prometheusrules")
        ],
    ),
}
STRIMZI = "1.2.0"
STRIMZI_KINDS = {
    "kafka.Kafka": "kafka",
    "nodepool.KafkaNodePool": "nodes",
    "topic.KafkaTopic": "topic",
    "user.KafkaUser": "user",
}

Schema = dict[str, Any]
_SHARED_FROM_CHARACTERS = 200
_ROOM = "io.k8s.api."


def main() -> None:
    for short, version in KUBERNETES.items():
        source = json.loads((_module(f"k8s.io/kubernetes@{version}") / "api/openapi-spec/swagger.json").read_bytes())
        _write(f"kubernetes-{short}", f"k8s.io/kubernetes {version}", *_kubernetes(source["definitions"]))
    for name, (module, files) in CRDS.items():
        folder = _module(module)
        _write(name, module, *_shared(_custom([folder / file for file in files])))
    with tempfile.TemporaryDirectory() as scratch:
        _write("strimzi", f"io.strimzi:api {STRIMZI}", *_shared(_custom(_strimzi(Path(scratch)))))


def _module(name: str) -> Path:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "go.mod").write_text("module schemas\n")
        answer = subprocess.run(["go", "mod", "download", "-json", name], cwd=folder, capture_output=True, check=True)
    return Path(json.loads(answer.stdout)["Dir"])


def _strimzi(folder: Path) -> list[Path]:
    one = "<dependency><groupId>io.strimzi</groupId><artifactId>{}</artifactId><version>{}</version></dependency>"
    wanted = "".join(one.format(name, STRIMZI) for name in ("crd-generator", "api"))
    (folder / "pom.xml").write_text(
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion><groupId>schemas</groupId>'
        f"<artifactId>schemas</artifactId><version>1</version><dependencies>{wanted}</dependencies></project>"
    )
    libraries = folder / "libraries"
    command = ["mvn", "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={libraries}"]
    subprocess.run(command, cwd=folder, check=True)
    files = {kind: folder / f"{name}.yaml" for kind, name in STRIMZI_KINDS.items()}
    asked = [f"io.strimzi.api.kafka.model.{kind}={file}" for kind, file in files.items()]
    generator = ["io.strimzi.crdgenerator.CrdGenerator", "--yaml", "--api-versions", "v1", "--crd-api-version", "v1"]
    subprocess.run(["java", "-cp", f"{libraries}/*", *generator, *asked], cwd=folder, check=True)
    return list(files.values())


def _kubernetes(published: Schema) -> tuple[Schema, Schema]:
    """Kind → reference, and every definition that those reach."""
    kinds, definitions = {}, {}
    waiting = [f"{_ROOM}{kind}" for kind in KINDS]
    for name in waiting:
        group, version, kind = name.removeprefix(_ROOM).split(".")
        named = {tuple(each.values()): each for each in published[name]["x-kubernetes-group-version-kind"]}
        assert len(named) == 1, f"{group} {version} {kind}"
        each = next(iter(named.values()))
        kinds[f"{each['group']}/{each['version']}/{each['kind']}".lstrip("/")] = {"$ref": f"#/definitions/{name}"}
    while waiting:
        name = waiting.pop()
        if name not in definitions:
            definitions[name] = _strict(published[name])
            waiting += _referred(definitions[name])
    return kinds, dict(sorted(definitions.items()))


def _referred(schema: Any) -> list[str]:
    if isinstance(schema, list):
        return [name for item in schema for name in _referred(item)]
    if not isinstance(schema, dict):
        return []
    here = [schema["$ref"].removeprefix("#/definitions/")] if isinstance(schema.get("$ref"), str) else []
    return here + [name for item in schema.values() for name in _referred(item)]


def _custom(files: list[Path]) -> Schema:
    """Kind → schema, out of CustomResourceDefinitions; `metadata` is judged by Kubernetes' own."""
    found = {}
    for file in files:
        definition = yaml.safe_load(file.read_bytes())["spec"]
        for version in definition["versions"]:
            schema = _strict(version["schema"]["openAPIV3Schema"])
            schema["properties"].pop("status", None)
            schema["properties"] |= {"apiVersion": {}, "kind": {}, "metadata": {}}
            found[f"{definition['group']}/{version['name']}/{definition['names']['kind']}"] = schema
    return found


def _strict(schema: Schema) -> Schema:
    """Without words, with unknown fields refused; formats that JSON Schema does not know become types."""
    if schema.get("x-kubernetes-int-or-string") or schema.get("format") == "int-or-string":
        return {"type": ["integer", "string"]}
    if schema.get("description", "").startswith("Quantity is"):
        return {"type": ["number", "string"]}
    kept: Schema = {}
    for key, value in schema.items():
        if key in {"description", "default", "example", "externalDocs", "format", "title"} or key.startswith("x-"):
            continue
        if key == "properties":
            kept[key] = {name: _strict(each) for name, each in value.items()}
        elif key in {"items", "additionalProperties", "not"} and isinstance(value, dict):
            kept[key] = _strict(value)
        elif key in {"oneOf", "anyOf", "allOf"}:
            # Parts of a whole: what they leave out is not unknown.
            kept[key] = [_loose(_strict(each)) for each in value]
        else:
            kept[key] = value
    open_ended = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in kept
    if "properties" in kept and not open_ended:
        kept["additionalProperties"] = False
    return kept


def _loose(schema: Schema) -> Schema:
    schema.pop("additionalProperties", None)
    for each in schema.get("properties", {}).values():
        _loose(each)
    return schema


def _shared(kinds: Schema) -> tuple[Schema, Schema]:
    """The same, with what is written more than once (every pod's template) moved to definitions."""
    counts: Counter[str] = Counter()

    def count(schema: Any) -> None:
        for item in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
            count(item)
        if isinstance(schema, dict) and "type" in schema:
            counts[json.dumps(schema, sort_keys=True)] += 1

    count(kinds)
    names = {text: f"s{number}" for number, (text, times) in enumerate(sorted(counts.items()), 1)
             if times > 1 and len(text) >= _SHARED_FROM_CHARACTERS}  # fmt: skip
    definitions: Schema = {}

    def moved(schema: Any, *, top: bool = False) -> Any:
        if isinstance(schema, list):
            return [moved(item) for item in schema]
        if not isinstance(schema, dict):
            return schema
        name = None if top else names.get(json.dumps(schema, sort_keys=True))
        if name is None:
            return {key: moved(value) for key, value in schema.items()}
        if name not in definitions:
            definitions[name] = {}
            definitions[name] = {key: moved(value) for key, value in schema.items()}
        return {"$ref": f"#/definitions/{name}"}

    return {kind: moved(schema, top=True) for kind, schema in kinds.items()}, definitions


def _write(name: str, source: str, kinds: Schema, definitions: Schema) -> None:
    path = SCHEMAS / f"{name}.json"
    parts = [f'"kinds": {_lines(kinds)}', f'"definitions": {_lines(definitions)}']
    path.write_text(f'{{"source": "{source}",\n' + ",\n".join(parts) + "}\n")
    print(f"{path.name}: {path.stat().st_size // 1024} KiB", file=sys.stderr)


def _lines(part: Schema) -> str:
    """A line per entry, so that a new version shows what it changes."""
    entries = (f'"{key}": {json.dumps(part[key], sort_keys=True, separators=(",", ":"))}' for key in part)
    return "{\n" + ",\n".join(entries) + "\n}"


if __name__ == "__main__":
    main()
