"""What each process is told on Kubernetes is what it starts with."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from deploy import environment
from deploy.cli.kubernetes import secrets_of
from deploy.cli.main import app
from deploy.kafka.acls import BACKUP_SYSTEM_USER
from deploy.moving.files import SHORTEST_PASSPHRASE
from deploy.services import SERVICES
from deploy.split.settings import FrontSettings
from shared.kit.secret_files import PREFIX
from tests.deploy.kubernetes.rendered import Resource, labels_of, pod_of, resources

COMMANDS = typer.main.get_group(app).commands
DATA = "/var/lib/mainstay"
MOUNTED_AT = "/run/secrets/mainstay"


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("part", ["api", "worker"])
@pytest.mark.parametrize("overlay", ["overlays/development", "examples/installation"])
def test_a_process_starts_with_the_settings_and_secrets_that_its_pod_gets(
    overlay: str, part: str, service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = told_to(overlay, f"{service}-{part}", tmp_path, monkeypatch)
    assert told.common.mode == ("development" if overlay.endswith("development") else "production")
    assert told.services[service].database_of(service, told.common).startswith(f"postgresql://mainstay_{service}:")
    if part == "worker":
        assert told.common.kafka_username == f"mainstay-{service}"


def test_the_nightly_backup_starts_with_what_its_pod_gets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (nightly,) = resources("examples/installation", "CronJob")
    give("examples/installation", nightly, tmp_path, monkeypatch)
    common, services = environment.read_common(), environment.read_all()
    assert (common.mode, common.kafka_username) == ("production", BACKUP_SYSTEM_USER)
    for service in SERVICES:
        assert services[service].database_of(service, common).startswith(f"postgresql://mainstay_{service}:")
    given = [each.replace(MOUNTED_AT, str(tmp_path / "secrets")) for each in pod_of(nightly)["containers"][0]["args"]]
    command = COMMANDS[given[0]].make_context(given[0], given[1:])
    assert (command.params["place"], command.params["folder_per_service"]) == ("/srv/backups", True)
    assert len(command.params["passphrase_file"].read_text()) >= SHORTEST_PASSPHRASE


def test_the_front_starts_with_what_its_pod_gets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = told_to("overlays/development", "front", tmp_path, monkeypatch)
    assert (told.common.clock, told.pages.mailbox_host) == ("virtual", "0.0.0.0")
    assert environment.read(FrontSettings).urls_of("billing")


def test_production_refuses_to_start_until_an_installation_says_who_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(environment.WrongSettings) as refused:
        told_to("overlays/production", "notify-worker", tmp_path, monkeypatch)
    lacking = {line.split(":")[0] for line in refused.value.lines}
    assert {"MAINSTAY_OIDC_ISSUER", "MAINSTAY_NOTIFY_SMTP_HOST", "MAINSTAY_NOTIFY_SENDER"} <= lacking


def told_to(overlay: str, name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> environment.ServerSettings:
    (workload,) = [one for one in resources(overlay, "Deployment") if one["metadata"]["name"] == name]
    give(overlay, workload, folder, monkeypatch)
    labels = labels_of(workload)
    service, part = labels["app.kubernetes.io/name"], labels["app.kubernetes.io/component"]
    return environment.read_server(*([] if part == "front" else [service]), working=part == "worker")


def give(overlay: str, workload: Resource, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process its variables and files, with `folder` for what is mounted."""
    for variable in [variable for variable in os.environ if variable.startswith(PREFIX)]:
        monkeypatch.delenv(variable)
    for variable, value in variables_of(overlay, workload):
        monkeypatch.setenv(variable, value.replace(DATA, str(folder)).replace(MOUNTED_AT, str(folder / "secrets")))
    if any(mount["mountPath"] == MOUNTED_AT for mount in pod_of(workload)["containers"][0]["volumeMounts"]):
        (folder / "secrets").mkdir()
    for path, content in files_of(overlay, workload):
        (folder / "secrets" / path).write_bytes(content)


def variables_of(overlay: str, workload: Resource) -> Iterator[tuple[str, str]]:
    """As the kubelet sets them: what is `$(NAME)` is replaced by what came before."""
    (container,) = pod_of(workload)["containers"]
    names = {source["configMapRef"]["name"] for source in container["envFrom"]}
    for each in resources(overlay, "ConfigMap"):
        if each["metadata"]["name"] in names:
            yield from each["data"].items()
    known: dict[str, str] = {}
    for variable in container.get("env", []):
        labelled = re.fullmatch(
            r"metadata\.labels\['(.+)'\]", variable.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath", "")
        )
        value = labels_of(workload)[labelled[1]] if labelled else variable["value"]
        known[variable["name"]] = re.sub(r"\$\((\w+)\)", lambda found: known[found[1]], value)
    yield from known.items()


def files_of(overlay: str, workload: Resource) -> Iterator[tuple[str, bytes]]:
    made = secrets_of("development" if overlay.endswith("development") else "production")
    for volume in pod_of(workload)["volumes"]:
        for source in volume.get("projected", {}).get("sources", []):
            secret = source["secret"]
            for item in [] if secret.get("optional") else secret["items"]:
                yield item["path"], made.get(secret["name"], {}).get(item["key"], b"made by somebody else")
