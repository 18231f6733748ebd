"""The table of who may connect to whom, beside what the network policies of each overlay come to."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from deploy.services import SERVICES
from tests.deploy.kubernetes.reaching import Party, connections
from tests.deploy.kubernetes.rendered import Resource, labels_of, pod_of, resources, workloads

APIS = [f"{service}-api" for service in SERVICES]
WORKERS = [f"{service}-worker" for service in SERVICES]
ALLOWED = "allowed"
INGRESS = Party("the ingress", namespace="edge", namespace_labels={"mainstay/ingress": ALLOWED})
MONITORING = Party(
    "Prometheus", namespace="watch", namespace_labels={"mainstay/monitoring": ALLOWED}, ports={4318: None}
)
STRANGER = Party("a stranger's pod", namespace="other", ports={80: None, 443: None, 5432: None, 8000: None, 9092: None})
NAMES = Party(
    "the name server",
    {"k8s-app": "kube-dns"},
    namespace="kube-system",
    namespace_labels={"kubernetes.io/metadata.name": "kube-system"},
    ports={53: None},
)
CLUSTER_API = Party("the cluster's API", address="10.96.0.1", ports={443: None, 6443: None}, is_pod=False)
INTERNET = Party(
    "the internet",
    address="203.0.113.7",
    ports=dict.fromkeys((25, 80, 443, 465, 587, 8080)),
    is_pod=False,
)
STRIMZI = Party("Strimzi", {"strimzi.io/kind": "cluster-operator"}, namespace="strimzi")
CLOUDNATIVE_PG = Party("CloudNativePG", {"app.kubernetes.io/name": "cloudnative-pg"}, namespace="cnpg-system")
POSTGRES = Party(
    "postgres", {"store": "postgres", "cnpg.io/cluster": "postgres"}, ports={5432: None, 8000: None, 9187: None}
)
KAFKA = Party(
    "kafka",
    {"store": "kafka", "strimzi.io/cluster": "kafka"},
    ports={8443: None, 9090: None, 9091: None, 9092: None, 9094: None},
)

Table = dict[tuple[str, str], set[int]]


def to_each(sources: Iterable[str], targets: Iterable[str], *ports: int) -> Table:
    targets = list(targets)
    return {(source, target): set(ports) for source in sources for target in targets}


EVERYWHERE: Table = {
    **to_each(["the ingress", "Prometheus"], APIS, 8000),
    **to_each(["Prometheus"], WORKERS, 9464),
    **to_each([*APIS, *WORKERS, "migrate"], ["postgres"], 5432),
    **to_each(WORKERS, ["kafka"], 9092),
    **to_each([*APIS, *WORKERS], ["Prometheus"], 4318),
    **to_each([*APIS, *WORKERS, "migrate", "postgres", "kafka"], ["the name server"], 53),
}
DEVELOPMENT: Table = {
    **EVERYWHERE,
    **to_each(["the ingress", "Prometheus", *APIS], ["front"], 8000),
    **to_each(["front"], APIS, 8000),
    **to_each(["notify-worker"], ["front"], 1025),
    **to_each(["front"], ["Prometheus"], 4318),
    **to_each(["topics"], ["kafka"], 9092),
    **to_each(["front", "topics"], ["the name server"], 53),
}
PRODUCTION: Table = {
    **EVERYWHERE,
    **to_each(APIS, ["the internet"], 443),
    **to_each(["notify-worker"], ["the internet"], 465, 587),
    **to_each(["postgres"], ["postgres"], 5432, 8000),
    **to_each(["CloudNativePG"], ["postgres"], 5432, 8000),
    **to_each(["Prometheus"], ["postgres"], 9187),
    **to_each(["kafka"], ["kafka"], 9090, 9091),
    **to_each(["Strimzi"], ["kafka"], 8443, 9090, 9091),
    **to_each(["postgres", "kafka"], ["the cluster's API"], 443, 6443),
    # Backups of the database go to an object store, which has no address that is known here.
    **to_each(["postgres", "kafka"], ["the internet"], 443),
    **to_each(["postgres", "kafka"], ["a stranger's pod"], 443),
}
OUTSIDE = [STRANGER, NAMES, CLUSTER_API, INTERNET, INGRESS, MONITORING, CLOUDNATIVE_PG]
INSTALLATION: Table = {
    **PRODUCTION,
    **to_each([party.name for party in OUTSIDE], ["kafka"], 9094),
    **to_each(["Strimzi"], ["kafka"], 8443, 9090, 9091, 9094),
    **to_each(["backup-api"], ["rest-server"], 8000),
    **to_each(["backup-worker"], ["rest-server"], 8000, 8001),
    **to_each(["backup-worker"], ["the internet"], 443),
    **to_each(["backup-system"], ["postgres"], 5432),
    **to_each(["backup-system"], ["kafka"], 9092),
    **to_each(["rest-server", "backup-system"], ["the name server"], 53),
}


@pytest.mark.parametrize(
    ("overlay", "table"),
    [
        ("overlays/development", DEVELOPMENT),
        ("overlays/production", PRODUCTION),
        ("examples/installation", INSTALLATION),
    ],
)
def test_the_network_lets_through_what_the_architecture_says_and_nothing_else(overlay: str, table: Table) -> None:
    found = connections(resources(overlay, "NetworkPolicy"), parties(overlay))
    assert found == {(source, target, port) for (source, target), ports in table.items() for port in ports}


def test_no_service_may_ask_another_for_anything() -> None:
    ours = {name for name, _target in EVERYWHERE} & {*APIS, *WORKERS}
    assert ours == {*APIS, *WORKERS}
    assert not [pair for pair in PRODUCTION if pair[0] in ours and pair[1] in ours]


def test_without_policies_everything_would_be_open() -> None:
    assert ("a stranger's pod", "notify-worker", 9464) in connections([], parties("overlays/production"))


def parties(overlay: str) -> list[Party]:
    """Every kind of pod of the overlay, and who else there is."""
    own = [_party(workload) for workload in workloads(overlay)]
    operated = [] if any(party.name == "postgres" for party in own) else [POSTGRES, KAFKA, STRIMZI, CLOUDNATIVE_PG]
    return [*own, *operated, INGRESS, MONITORING, STRANGER, NAMES, CLUSTER_API, INTERNET]


def _party(workload: Resource) -> Party:
    ports = [port for container in pod_of(workload)["containers"] for port in container.get("ports", [])]
    name = workload["metadata"]["name"]
    if workload["kind"] == "Job":
        name = name.split("-")[0]
    return Party(name, labels_of(workload), ports={port["containerPort"]: port.get("name") for port in ports})
