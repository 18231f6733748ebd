"""What every installation under Compose keeps to, read in its files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic_settings import BaseSettings

from deploy.cli.main import app
from deploy.kafka.acls import TOPICS_USER, user_of, users
from deploy.services import SERVICES, settings_of
from deploy.site.settings import SiteSettings
from deploy.split.settings import FrontSettings
from shared.kit.settings import CommonSettings
from shared.kit.version import VERSION
from tests.deploy.compose.files import (
    FOLDER,
    OVERLAYS,
    ROOT,
    awaited_by,
    installation,
    is_job,
    is_ours,
    secrets_of,
    services_of,
)

COMMANDS = typer.main.get_group(app).commands
EVERYTHING = [(overlay, name) for overlay in OVERLAYS for name in services_of(overlay)]
THIRD_PARTY = {"postgres:17", "apache/kafka:4.1.0", "restic/rest-server:0.13.0"}
SECRET = re.compile(r"PASSWORD|SECRET|TOKEN|_KEY\b|REPOSITORIES|DATABASE_URL|JAAS")
HARMLESS = re.compile(r"_FILE$|^MAINSTAY_SECRETS_DIR$|_SASL_JAAS_CONFIG$")
SYSTEM = ("backup-system", "restore-system")
BROKERS = ("kafka-1", "kafka-2", "kafka-3")


@pytest.mark.parametrize(("overlay", "name"), EVERYTHING)
def test_a_container_is_bounded_hardened_and_watched(overlay: str, name: str) -> None:
    service = services_of(overlay)[name]
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["logging"]["options"]["max-size"], "a log without an end fills the disk"
    assert service["dns_opt"] == ["timeout:1", "attempts:2"], "a dead container's name would hang its callers"
    assert "privileged" not in service
    assert service.get("user") in {None, "postgres"}
    if is_job(service):
        return
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"]
    assert service["stop_grace_period"]


@pytest.mark.parametrize(("overlay", "name"), EVERYTHING)
def test_an_image_is_one_version(overlay: str, name: str) -> None:
    service = services_of(overlay)[name]
    if is_ours(service):
        assert re.fullmatch(rf"mainstay(-backup|-edge)?:\$\{{DEPLOY_VERSION:-{re.escape(VERSION)}\}}", service["image"])
        assert service["pull_policy"] == "never"
    else:
        assert service["image"] in THIRD_PARTY


@pytest.mark.parametrize(("overlay", "name"), EVERYTHING)
def test_no_secret_is_in_an_environment(overlay: str, name: str) -> None:
    variables = services_of(overlay)[name].get("environment", {})
    strays = [each for each in variables if SECRET.search(each) and not HARMLESS.search(each)]
    assert not strays, "give it as a file, under secrets"
    assert not [each for each in map(str, variables.values()) if re.search(r"://[^/\s]*:[^/\s]*@|password=", each)]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_secret_is_a_file_in_one_folder(overlay: str) -> None:
    for name, source in installation(overlay)["secrets"].items():
        assert source == {"file": "${DEPLOY_SECRETS:-./secrets}/" + name}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_service_holds_another_services_secret(overlay: str) -> None:
    trusted = {"postgres", "migrate", "kafka-users", "operator", *SYSTEM}
    for name, service in services_of(overlay).items():
        own = name.rpartition("-")[0]
        others = {other for other in SERVICES if other != own}
        held = {secret for secret in secrets_of(service) for other in others if f"_{other}_" in f"_{secret}"}
        assert name in trusted or not held, f"{name} holds {sorted(held)}"


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("name", SYSTEM)
def test_the_whole_installation_is_moved_with_the_files_and_keys_of_every_service(overlay: str, name: str) -> None:
    services = services_of(overlay)
    mounted = dict(each.rsplit(":", 1) for each in services[name]["volumes"])
    data = services[name]["environment"]["MAINSTAY_DATA_DIR"]
    for service in SERVICES:
        assert services[f"{service}-worker"]["volumes"] == [f"{service}-data:/var/lib/mainstay"]
        assert mounted[f"{service}-data"] == f"{data}/{service}"
    assert mounted["${DEPLOY_BACKUPS:-system-backups}"] == "/srv/backups"
    assert {"backup_key", "vault_key", "system_passphrase"} <= secrets_of(services[name])
    assert services[name]["profiles"] == ["operator"], "whoever starts an installation does not start this"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_backup_is_made_with_options_that_there_are(overlay: str, tmp_path: Path) -> None:
    passphrase = tmp_path / "system_passphrase"
    passphrase.touch()
    given = [
        re.sub(r"\$\{\w+:-(.*)\}", r"\1", each).replace("/run/secrets", str(tmp_path))
        for each in services_of(overlay)["backup-system"]["command"]
    ]
    asked = COMMANDS[given[0]].make_context(given[0], given[1:]).params
    assert (asked["place"], asked["keep"], asked["folder_per_service"]) == ("/srv/backups", 7, True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_only_the_backup_worker_can_delete_backups(overlay: str) -> None:
    services = services_of(overlay)
    for deleting in ("backup_deleting_repositories", "backup_remote_deleting_repositories"):
        assert [name for name, service in services.items() if deleting in secrets_of(service)] == ["backup-worker"]
    assert services["rest-server"]["environment"]["OPTIONS"] == "--private-repos --append-only"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_databases_and_brokers_are_in_networks_that_lead_nowhere(overlay: str) -> None:
    networks, services = installation(overlay)["networks"], services_of(overlay)
    assert {name for name, network in networks.items() if network.get("internal")} == {"data", "log", "storage"}
    assert services["postgres"]["networks"] == ["data"]
    for service in SERVICES:
        assert "log" not in services[f"{service}-api"]["networks"], "an API tells nothing, its worker does"
        assert "front" not in services[f"{service}-worker"]["networks"]
    inside = {name for name, service in services.items() if set(service.get("networks", [])) <= {"data", "storage"}}
    assert {"postgres", "rest-server", "rest-server-deleting", "migrate"} <= inside


def test_development_is_reached_from_this_machine_only() -> None:
    published = {name: service["ports"] for name, service in services_of("development").items() if "ports" in service}
    assert published == {"edge": ["127.0.0.1:${MAINSTAY_PORT:-8000}:8000"]}


def test_production_shows_its_edge_and_the_brokers_listeners_for_partners() -> None:
    published = {name: service["ports"] for name, service in services_of("production").items() if "ports" in service}
    assert set(published) == {"edge", *BROKERS}
    assert published["edge"] == ["${MAINSTAY_PORT:-443}:8443"]
    assert all(published[name][0].endswith(":9095") for name in BROKERS)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_jobs_finish_before_what_needs_them(overlay: str) -> None:
    services = services_of(overlay)
    done, healthy = {"condition": "service_completed_successfully"}, {"condition": "service_healthy"}
    for each in SERVICES:
        assert services[f"{each}-api"]["depends_on"]["migrate"] == done
        worker = services[f"{each}-worker"]["depends_on"]
        assert worker["migrate"] == worker["topics"] == done
        assert services["edge"]["depends_on"][f"{each}-api"] == healthy
    for name, service in services.items():
        for awaited, how in service.get("depends_on", {}).items():
            assert how == (done if is_job(services[awaited]) else healthy), f"{name} waits for {awaited}"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_up_waits_for_everything(overlay: str) -> None:
    script = (FOLDER / "mainstay.sh").read_text()
    named = re.search(r"--remove-orphans \"\$@\" \\\n\s*(.*)\n", script)
    assert named is not None
    everything = {name for name, service in services_of(overlay).items() if "profiles" not in service}
    assert awaited_by(services_of(overlay), *named[1].split()) == everything


@pytest.mark.parametrize(("overlay", "name"), [each for each in EVERYTHING if is_ours(services_of(each[0])[each[1]])])
def test_every_variable_is_a_setting(overlay: str, name: str) -> None:
    kinds: list[type[BaseSettings]] = [CommonSettings, SiteSettings, FrontSettings]
    kinds += [type(settings_of(each)) for each in SERVICES]
    known = {f"{kind.model_config.get('env_prefix')}{field}".upper() for kind in kinds for field in kind.model_fields}
    service = services_of(overlay)[name]
    targets = {each["target"].upper() for each in service.get("secrets", []) if not isinstance(each, str)}
    given = {*service.get("environment", {}), *targets}
    assert not {each for each in given if each.startswith("MAINSTAY_")} - known


def test_databases_are_made_alike_under_compose_and_in_development_on_kubernetes() -> None:
    here, there = FOLDER / "postgres", ROOT / "deploy" / "kubernetes" / "overlays" / "development"
    assert (here / "services.sh").read_text() == (there / "services.sh").read_text()
    mounted = set(re.findall(r"path: (\w+_password)\}", (there / "postgres.yaml").read_text()))
    assert mounted == secrets_of(services_of("development")["postgres"])


def test_production_has_no_development_sign_in_mailbox_or_clock() -> None:
    services = services_of("production")
    assert not {"front", "kafka"} & set(services)
    assert services["edge"]["command"] == ["/etc/nginx/production.conf"]
    for name, service in services.items():
        variables = service.get("environment", {})
        assert "MAINSTAY_CLOCK" not in variables
        if is_ours(service) and name != "edge":
            assert variables["MAINSTAY_MODE"] == "production"
            assert variables["MAINSTAY_OIDC_ISSUER"].startswith("${MAINSTAY_OIDC_ISSUER:?")
            assert variables["MAINSTAY_OIDC_JWKS_URL"] is None


@pytest.mark.parametrize("broker", BROKERS)
def test_a_production_broker_loses_nothing_and_asks_who_calls(broker: str) -> None:
    variables: dict[str, Any] = services_of("production")[broker]["environment"]
    assert variables["KAFKA_DEFAULT_REPLICATION_FACTOR"] == variables["KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR"] == "3"
    assert variables["KAFKA_MIN_INSYNC_REPLICAS"] == "2"
    assert variables["KAFKA_UNCLEAN_LEADER_ELECTION_ENABLE"] == "false"
    assert variables["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    assert variables["KAFKA_ALLOW_EVERYONE_IF_NO_ACL_FOUND"] == "false"
    assert variables["KAFKA_AUTHORIZER_CLASS_NAME"].endswith(".StandardAuthorizer")
    protocols = dict(each.split(":") for each in variables["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(","))
    assert protocols == {"CLIENTS": "SASL_SSL", "PARTNERS": "SASL_SSL", "CONTROLLER": "SSL", "BROKERS": "SSL"}
    assert variables["KAFKA_SSL_CLIENT_AUTH"] == "required"
    assert services_of("development")["kafka"]["environment"]["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"


def test_every_kafka_user_has_its_password_and_its_own_rights() -> None:
    services = services_of("production")
    names = {services[f"{service}-worker"]["environment"]["MAINSTAY_KAFKA_USERNAME"] for service in SERVICES}
    assert names == {user_of(service) for service in SERVICES}
    assert services["topics"]["environment"]["MAINSTAY_KAFKA_USERNAME"] == TOPICS_USER
    for name in SYSTEM:
        assert services[name]["environment"]["MAINSTAY_KAFKA_USERNAME"] == f"mainstay-{name}"
    given = {
        f"mainstay-{secret.split('_')[1]}" for secret in secrets_of(services["kafka-users"]) if "password" in secret
    }
    assert given == {user.name for user in users()} | {"mainstay-operator"}
    supers = services["kafka-1"]["environment"]["KAFKA_SUPER_USERS"].split(";")
    assert set(supers) == {f"User:CN={name}" for name in (*BROKERS, "kafka-operator")} | {"User:mainstay-operator"}
