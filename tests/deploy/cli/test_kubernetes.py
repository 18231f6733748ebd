"""`mainstay kubernetes secrets` makes what the overlays mount."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from typer.testing import CliRunner

from deploy.cli.main import app
from deploy.services import SERVICES
from tests.deploy.kubernetes.rendered import pod_of, workloads

MADE_BY_STRIMZI = {"kafka-cluster-ca-cert", *(f"mainstay-{service}" for service in SERVICES)}


@pytest.mark.parametrize("overlay", ["development", "production"])
def test_every_secret_that_is_mounted_is_made_with_the_keys_that_are_asked_for(overlay: str) -> None:
    made = {secret["metadata"]["name"]: secret["data"].keys() for secret in secrets_for(overlay)}
    for workload in workloads(f"overlays/{overlay}"):
        for volume in pod_of(workload)["volumes"]:
            for source in volume.get("projected", {}).get("sources", []):
                secret = source["secret"]
                if secret["name"] not in MADE_BY_STRIMZI and not secret.get("optional"):
                    assert {item["key"] for item in secret["items"]} <= made[secret["name"]]


def test_a_service_signs_in_to_a_database_of_its_own_with_a_password_of_its_own() -> None:
    urls = [value(secret, "url") for secret in secrets_for("production") if "url" in secret["data"]]
    passwords = {value(secret, "password") for secret in secrets_for("production") if "url" in secret["data"]}
    assert len(passwords) == len(urls) == len(SERVICES)
    for service, url in zip(SERVICES, urls, strict=True):
        assert url.startswith(f"postgresql://mainstay_{service}:")
        assert url.endswith(f"@postgres-rw:5432/mainstay_{service}")


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
