"""`mainstay kubernetes secrets` makes what the overlays mount."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from typer.testing import CliRunner

from deploy.cli.main import app
from deploy.kafka.acls import users
from deploy.services import SERVICES
from tests.deploy.kubernetes.rendered import pod_of, workloads

MADE_BY_STRIMZI = {"kafka-cluster-ca-cert", *(user.name for user in users())}
WRITTEN_BY_THE_OPERATOR = {"backup-remote-repositories"}


@pytest.mark.parametrize(
    ("overlay", "kind"),
    [
        ("overlays/development", "development"),
        ("overlays/production", "production"),
        ("examples/installation", "production"),
    ],
)
def test_every_secret_that_is_mounted_is_made_with_the_keys_that_are_asked_for(overlay: str, kind: str) -> None:
    made = {secret["metadata"]["name"]: secret["data"].keys() for secret in secrets_for(kind)}
    for workload in workloads(overlay):
        for volume in pod_of(workload)["volumes"]:
            for source in volume.get("projected", {}).get("sources", []):
                secret = source["secret"]
                if secret["name"] not in MADE_BY_STRIMZI | WRITTEN_BY_THE_OPERATOR and not secret.get("optional"):
                    assert {item["key"] for item in secret["items"]} <= made[secret["name"]]


def test_a_service_signs_in_to_a_database_of_its_own_with_a_password_of_its_own() -> None:
    databases = [secret for secret in secrets_for("production") if "url" in secret["data"]]
    passwords = [value(secret, "password") for secret in databases]
    assert len(set(passwords)) == len(SERVICES)
    for service, secret, password in zip(SERVICES, databases, passwords, strict=True):
        name = f"mainstay_{service}"
        assert value(secret, "username") == name
        assert value(secret, "url") == f"postgresql://{name}:{password}@postgres-rw:5432/{name}"


def test_nothing_is_made_twice_alike() -> None:
    first, second = (json.dumps(secrets_for("production")) for _ in range(2))
    assert first != second


def secrets_for(overlay: str) -> list[dict[str, Any]]:
    done = CliRunner().invoke(app, ["kubernetes", "secrets", overlay])
    assert done.exit_code == 0, done.output
    items: list[dict[str, Any]] = json.loads(done.stdout)["items"]
    return items


def value(secret: dict[str, Any], key: str) -> str:
    return base64.b64decode(secret["data"][key]).decode()
