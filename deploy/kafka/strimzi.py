"""Topics and users as resources for Strimzi, which makes them on a Kafka that runs on Kubernetes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from deploy.docs import yaml
from deploy.kafka.acls import TOPICS_USER, Acl, User, partner_user, users
from shared.events.registry import TOPICS, partner_topic
from shared.kit.settings import CommonSettings

FOLDER = "deploy/kubernetes/overlays/production/kafka"
CLUSTER = "kafka"
API = "kafka.strimzi.io/v1"
REPLICAS = 3
IN_SYNC = 2
_MADE = "# Made by `mainstay docs write` from what the code reads and writes.\n"

Resource = dict[str, Any]


def documents() -> dict[str, str]:
    """Path below the checkout → text: all topics, and each user with its ACLs.

    The job that makes topics has none: Strimzi makes them.
    """
    partitions = _default("kafka_partitions")
    return {
        f"{FOLDER}/topics.yaml": _MADE + _documents([topic(name, partitions) for name in TOPICS]),
        f"{FOLDER}/users.yaml": _MADE + _documents([user(each) for each in users() if each.name != TOPICS_USER]),
    }


def partner(partner_id: object) -> str:
    """YAML of one partner's topic and user: it reads that topic and nothing else."""
    return _documents([topic(partner_topic(partner_id), 1), user(partner_user(partner_id))])


def topic(name: str, partitions: int) -> Resource:
    """A KafkaTopic; its resource's name differs where Kubernetes allows fewer characters."""
    spec = {
        "topicName": name,
        "partitions": partitions,
        "replicas": REPLICAS,
        "config": {
            "min.insync.replicas": IN_SYNC,
            "retention.ms": timedelta(days=_default("kafka_retention_days")) // timedelta(milliseconds=1),
        },
    }
    return _resource("KafkaTopic", name.replace("_", "-"), spec)


def user(described: User) -> Resource:
    """A KafkaUser, whose password Strimzi makes and keeps in a Secret of the user's name."""
    spec: Resource = {
        "authentication": {"type": "scram-sha-512"},
        "authorization": {"type": "simple", "acls": [_acl(acl) for acl in described.acls]},
    }
    if described.bytes_per_second is not None:
        spec["quotas"] = {"consumerByteRate": described.bytes_per_second}
    return _resource("KafkaUser", described.name, spec)


def _default(setting: str) -> int:
    found: int = CommonSettings.model_fields[setting].default
    return found


def _acl(acl: Acl) -> Resource:
    resource = {
        "type": acl.resource,
        "name": acl.name,
        "patternType": "prefix" if acl.pattern == "prefixed" else "literal",
    }
    return {"resource": resource, "operations": list(acl.operations)}


def _resource(kind: str, name: str, spec: Resource) -> Resource:
    labels = {"strimzi.io/cluster": CLUSTER}
    return {"apiVersion": API, "kind": kind, "metadata": {"name": name, "labels": labels}, "spec": spec}


def _documents(resources: list[Resource]) -> str:
    return "---\n".join(yaml.dump(resource) for resource in resources)
