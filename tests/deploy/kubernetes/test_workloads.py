"""What holds for everything that runs on Kubernetes, whoever changes an overlay."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from deploy.kafka import acls
from deploy.services import SERVICES, settings_of
from shared.events.registry import TOPICS
from shared.kit.bus.metrics import LAG_RECORDS
from shared.kit.secret_files import is_secret, variables_of
from shared.kit.settings import CommonSettings, Settings
from shared.kit.version import VERSION
from tests.deploy.kubernetes.rendered import (
    OVERLAYS,
    REPLICATED,
    Resource,
    containers,
    ends,
    labels_of,
    name_of,
    pod_of,
    resources,
    workloads,
)

OURS = ("mainstay", "mainstay-backup")
ANY_OVERLAY = pytest.mark.parametrize("overlay", OVERLAYS)
ANY_REPLICATED = pytest.mark.parametrize("overlay", REPLICATED)
SETTINGS: list[type[Settings]] = [CommonSettings, *(type(settings_of(service)) for service in SERVICES)]
SECRETS = {
    variable
    for kind in SETTINGS
    for name, variable in variables_of(kind).items()
    if is_secret(kind.model_fields[name].annotation)
}
CONNECTIONS_BESIDE_THE_POOL = 1
"""A process listens on one more for what others commit."""
FOR_OTHERS = 20
"""The operator, a backup, a person."""
STRIMZIS = {acls.TOPICS_USER}
"""Users whose work Strimzi does."""
WAVE = "argocd.argoproj.io/sync-wave"


@ANY_OVERLAY
def test_the_namespace_admits_restricted_pods_only(overlay: str) -> None:
    (namespace,) = resources(overlay, "Namespace")
    levels = {key.rpartition("/")[2]: value for key, value in namespace["metadata"]["labels"].items()}
    assert {levels[mode] for mode in ("enforce", "audit", "warn")} == {"restricted"}
    elsewhere = [name_of(one) for one in resources(overlay) if one["metadata"].get("namespace") != "mainstay"]
    assert elsewhere == ["Namespace/mainstay"]


@ANY_OVERLAY
def test_every_pod_runs_as_nobody_and_reaches_no_api_of_the_cluster(overlay: str) -> None:
    for workload in workloads(overlay):
        pod = pod_of(workload)
        context = pod["securityContext"]
        assert context["runAsNonRoot"] is True, name_of(workload)
        assert context["runAsUser"] >= 999, name_of(workload)
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, name_of(workload)
        assert pod["automountServiceAccountToken"] is False, name_of(workload)
        assert pod["enableServiceLinks"] is False, f"{name_of(workload)}: a Service's address looks like a setting"
        kinds = {kind for volume in pod["volumes"] for kind in volume if kind != "name"}
        assert kinds <= {"emptyDir", "persistentVolumeClaim", "projected", "configMap"}, name_of(workload)


@ANY_OVERLAY
def test_every_container_is_confined_and_states_what_it_needs(overlay: str) -> None:
    for name, container in containers(overlay):
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False, name
        assert context["readOnlyRootFilesystem"] is True, name
        assert context["capabilities"] == {"drop": ["ALL"]}, name
        for kind in ("requests", "limits"):
            assert set(container["resources"][kind]) == {"cpu", "memory"}, f"{name}: {kind}"
        assert any(mount["mountPath"] == "/tmp" for mount in container["volumeMounts"]), name


@ANY_OVERLAY
def test_every_process_that_stays_is_probed_while_it_starts_lives_and_serves(overlay: str) -> None:
    for workload in workloads(overlay):
        if not ends(workload):
            for container in pod_of(workload)["containers"]:
                assert {"startupProbe", "livenessProbe", "readinessProbe"} <= container.keys(), name_of(workload)
    for service in SERVICES:
        api, worker = (deployment(overlay, f"{service}-{part}") for part in ("api", "worker"))
        assert paths_probed(api) == {"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"}
        assert paths_probed(worker) == paths_probed(api)


@ANY_OVERLAY
def test_every_process_that_stays_has_a_disruption_budget(overlay: str) -> None:
    budgets = [one["spec"]["selector"]["matchLabels"].items() for one in resources(overlay, "PodDisruptionBudget")]
    for workload in workloads(overlay):
        covering = [budget for budget in budgets if budget <= labels_of(workload).items()]
        assert len(covering) == (0 if ends(workload) else 1), name_of(workload)


@ANY_REPLICATED
def test_replicas_spread_over_zones_and_nodes(overlay: str) -> None:
    for workload in resources(overlay, "Deployment"):
        rules = pod_of(workload)["topologySpreadConstraints"]
        assert {rule["topologyKey"].rpartition("/")[2] for rule in rules} == {"zone", "hostname"}, name_of(workload)
        for rule in rules:
            assert rule["labelSelector"]["matchLabels"].items() <= labels_of(workload).items(), name_of(workload)
            assert "app.kubernetes.io/name" in rule["labelSelector"]["matchLabels"], name_of(workload)


@ANY_OVERLAY
def test_an_update_takes_no_replica_away_before_the_next_is_ready(overlay: str) -> None:
    for service in SERVICES:
        for part in ("api", "worker"):
            spec = deployment(overlay, f"{service}-{part}")["spec"]
            assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
            assert "replicas" not in spec, "a number here would undo what the autoscaler decided"
    drain = float(settings_in(overlay, "settings-")["MAINSTAY_DRAIN_SECONDS"])
    assert drain >= 5, "every node hears that a replica leaves while it still answers"
    for workload in resources(overlay, "Deployment"):
        assert pod_of(workload)["terminationGracePeriodSeconds"] >= drain + 15, name_of(workload)


@ANY_OVERLAY
def test_every_image_is_pinned_and_ours_are_of_this_version(overlay: str) -> None:
    for name, container in containers(overlay):
        image, _, tag = container["image"].rpartition(":")
        assert re.match(r"\d", tag), f"{name}: {container['image']}"
        if image.rpartition("/")[2] in OURS:
            assert tag == VERSION, f"{name}: deploy/kubernetes/version names the version"


@ANY_OVERLAY
def test_each_version_makes_its_own_jobs(overlay: str) -> None:
    suffix = VERSION.replace(".", "-")
    expected = {f"migrate-{suffix}"} if overlay in REPLICATED else {f"migrate-{suffix}", f"topics-{suffix}"}
    jobs = resources(overlay, "Job")
    assert {job["metadata"]["name"] for job in jobs} == expected, "base/jobs names the version"
    settings = {source["configMapRef"]["name"] for job in jobs for source in pod_of(job)["containers"][0]["envFrom"]}
    assert settings == {"job-settings"}, "a Job cannot change, so neither may the name of its settings"


@ANY_OVERLAY
def test_the_jobs_settings_are_the_processes_settings(overlay: str) -> None:
    assert settings_in(overlay, "job-settings") == settings_in(overlay, "settings-")


@ANY_OVERLAY
def test_nothing_of_a_service_starts_before_its_migrations(overlay: str) -> None:
    waves = {name_of(one): int(one["metadata"].get("annotations", {}).get(WAVE, 0)) for one in resources(overlay)}
    jobs = {wave for name, wave in waves.items() if name.startswith("Job/")}
    for service in SERVICES:
        for part in ("api", "worker"):
            workload = deployment(overlay, f"{service}-{part}")
            (first,) = pod_of(workload)["initContainers"]
            assert first["args"] == ["wait", "$(SERVICE)"]
            assert first["image"] == pod_of(workload)["containers"][0]["image"]
            assert waves[name_of(workload)] > max(jobs)
    others = {wave for name, wave in waves.items() if not name.startswith(("Job/", "Deployment/"))}
    assert max(others) < min(jobs)


@ANY_OVERLAY
def test_no_secret_is_written_down_and_none_is_in_the_environment(overlay: str) -> None:
    assert resources(overlay, "Secret") == []
    for each in resources(overlay, "ConfigMap"):
        assert not each["data"].keys() & SECRETS
    for name, container in containers(overlay):
        for variable in container.get("env", []):
            assert "secretKeyRef" not in variable.get("valueFrom", {}), name
            assert variable["name"] not in SECRETS, name
        assert not [source for source in container.get("envFrom", []) if "secretRef" in source], name


@ANY_OVERLAY
def test_a_pod_gets_the_secrets_of_its_own_service_only(overlay: str) -> None:
    for workload in resources(overlay, "Deployment"):
        own = labels_of(workload)["app.kubernetes.io/name"]
        others = set(SERVICES) - {own}
        for secret in secrets_of(workload):
            assert not others & set(secret.split("-")), f"{name_of(workload)} is given {secret}"
        if labels_of(workload)["app.kubernetes.io/component"] == "api":
            assert not [secret for secret in secrets_of(workload) if "mainstay" in secret], "an API meets no broker"


@ANY_OVERLAY
def test_what_several_nodes_write_to_lets_them(overlay: str) -> None:
    modes = {one["metadata"]["name"]: one["spec"]["accessModes"] for one in resources(overlay, "PersistentVolumeClaim")}
    if overlay == "examples/installation":
        assert modes.pop("system-backups") == ["ReadWriteOnce"], "one pod at a time"
    expected = {f"{service}-files" for service in SERVICES} | {"billing-evidence"}
    assert modes.keys() == expected
    assert {tuple(mode) for mode in modes.values()} == {
        ("ReadWriteMany",) if overlay in REPLICATED else ("ReadWriteOnce",)
    }


def test_a_service_keeps_its_files_where_its_other_processes_find_them() -> None:
    claims = {name_of(one): claims_of(one) for one in resources("overlays/production", "Deployment")}
    assert claims == {
        **{f"Deployment/{service}-worker": {f"{service}-files": "/var/lib/mainstay"} for service in SERVICES},
        "Deployment/contracts-api": {"contracts-files": "/var/lib/mainstay"},
        "Deployment/billing-api": {"billing-evidence": "/var/lib/mainstay/evidence"},
        "Deployment/backup-api": {"backup-files": "/var/lib/mainstay"},
        "Deployment/notify-api": {},
    }


def test_a_nightly_backup_has_the_files_of_every_service_and_makes_one_at_a_time() -> None:
    (nightly,) = resources("examples/installation", "CronJob")
    assert nightly["spec"]["concurrencyPolicy"] == "Forbid"
    kept = {one["metadata"]["name"] for one in resources("examples/installation", "PersistentVolumeClaim")}
    claims = claims_of(nightly)
    assert claims.keys() == kept
    for service in SERVICES:
        assert claims[f"{service}-files"] == f"/srv/mainstay/{service}"
    assert claims["billing-evidence"] == "/srv/mainstay/billing/evidence", "where billing's API has it, below its files"
    assert claims["system-backups"] == "/srv/backups"


@ANY_REPLICATED
def test_apis_scale_by_cpu(overlay: str) -> None:
    scalers = resources(overlay, "HorizontalPodAutoscaler")
    assert {one["spec"]["scaleTargetRef"]["name"] for one in scalers} == {f"{service}-api" for service in SERVICES}
    for one in scalers:
        assert one["spec"]["minReplicas"] >= 2
        assert [metric["containerResource"]["name"] for metric in one["spec"]["metrics"]] == ["cpu"]


@ANY_REPLICATED
def test_workers_scale_by_the_lag_that_they_tell_and_never_beyond_the_partitions(overlay: str) -> None:
    metric = next(iter(LAG_RECORDS.collect())).name
    scalers = {one["spec"]["scaleTargetRef"]["name"]: one["spec"] for one in resources(overlay, "ScaledObject")}
    assert scalers.keys() == {f"{service}-worker" for service in SERVICES}
    for name, spec in scalers.items():
        (trigger,) = spec["triggers"]
        told = f'{metric}{{consumer="{name.removesuffix("-worker")}"}}'
        assert trigger["metadata"]["query"] == f"sum(max by (topic, partition) ({told}))"
        assert spec["minReplicaCount"] >= 2
        assert spec["maxReplicaCount"] <= CommonSettings.model_fields["kafka_partitions"].default


@ANY_REPLICATED
def test_the_database_takes_as_many_connections_as_all_processes_may_open(overlay: str) -> None:
    default = CommonSettings.model_fields["pool_size"].default
    pool = int(settings_in(overlay, "settings-").get("MAINSTAY_POOL_SIZE", default))
    apis = sum(one["spec"]["maxReplicas"] for one in resources(overlay, "HorizontalPodAutoscaler"))
    workers = sum(one["spec"]["maxReplicaCount"] for one in resources(overlay, "ScaledObject"))
    surge = 2 * len(SERVICES)
    (cluster,) = resources(overlay, "Cluster")
    most = int(cluster["spec"]["postgresql"]["parameters"]["max_connections"])
    assert (apis + workers + surge) * (pool + CONNECTIONS_BESIDE_THE_POOL) + FOR_OTHERS <= most


@ANY_REPLICATED
def test_kafka_keeps_every_acknowledged_event_on_two_nodes_at_least(overlay: str) -> None:
    (pool,) = resources(overlay, "KafkaNodePool")
    topics = resources(overlay, "KafkaTopic")
    assert pool["spec"]["replicas"] == 3
    assert {one["spec"]["replicas"] for one in topics} == {3}
    assert {one["spec"]["config"]["min.insync.replicas"] for one in topics} == {2}
    names = {one["spec"]["topicName"] for one in topics}
    assert names - {name for name in names if name.startswith("partner.")} == set(TOPICS)


@ANY_REPLICATED
def test_every_user_of_kafka_signs_in_and_has_its_own_rights(overlay: str) -> None:
    (kafka,) = resources(overlay, "Kafka")
    assert kafka["spec"]["kafka"]["authorization"] == {"type": "simple"}
    for listener in kafka["spec"]["kafka"]["listeners"]:
        assert (listener["tls"], listener["authentication"]) == (True, {"type": "scram-sha-512"})
    users = {one["metadata"]["name"]: one["spec"] for one in resources(overlay, "KafkaUser")}
    assert {name for name in users if name.startswith("mainstay-")} == {user.name for user in acls.users()} - STRIMZIS
    assert {spec["authorization"]["type"] for spec in users.values()} == {"simple"}


@ANY_REPLICATED
def test_the_origin_shows_the_apis_and_nothing_that_is_between_operator_and_service(overlay: str) -> None:
    (ingress,) = resources(overlay, "Ingress")
    (rule,) = ingress["spec"]["rules"]
    assert ingress["spec"]["tls"] == [{"hosts": [rule["host"]], "secretName": "mainstay-tls"}]
    shown = {path["path"]: path["backend"]["service"]["name"] for path in rule["http"]["paths"]}
    for service in SERVICES:
        assert shown.pop(f"/{service}/v1") == f"{service}-api"
        assert shown.pop(f"/{service}/docs") == shown.pop(f"/{service}/openapi.json") == f"{service}-api"
    assert shown == {"/assets": "contracts-api"}


def deployment(overlay: str, name: str) -> Resource:
    (found,) = [one for one in resources(overlay, "Deployment") if one["metadata"]["name"] == name]
    return found


def paths_probed(workload: Resource) -> dict[str, str]:
    (container,) = pod_of(workload)["containers"]
    return {name: probe["httpGet"]["path"] for name, probe in container.items() if name.endswith("Probe")}


def settings_in(overlay: str, prefix: str) -> dict[str, str]:
    (found,) = [one for one in resources(overlay, "ConfigMap") if one["metadata"]["name"].startswith(prefix)]
    data: dict[str, str] = found["data"]
    return data


def secrets_of(workload: Resource) -> Iterator[str]:
    for volume in pod_of(workload)["volumes"]:
        for source in volume.get("projected", {}).get("sources", []):
            yield source["secret"]["name"]


def claims_of(workload: Resource) -> dict[str, str]:
    """Claim → where it is mounted."""
    pod = pod_of(workload)
    mounts = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    volumes = [volume for volume in pod["volumes"] if "persistentVolumeClaim" in volume]
    return {volume["persistentVolumeClaim"]["claimName"]: mounts[volume["name"]] for volume in volumes}
