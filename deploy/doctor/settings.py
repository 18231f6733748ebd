"""The settings: those that are wrong or unknown, those that production refuses, and those that are only unwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from ipaddress import ip_address
from typing import Any

from deploy import environment
from deploy.doctor.finding import Finding, Patient, error, ok, warning
from deploy.environment import WrongSettings
from deploy.site.settings import SiteSettings
from deploy.split.settings import FrontSettings
from services.notify.settings import NotifySettings
from shared.kit.settings import ServiceSettings, SettingsAsGiven

PART = "settings"
REFERENCE = "docs/operations/settings.md says what it may be"
FEW_REPLICAS = 3


def read(names: Sequence[str]) -> tuple[Patient | None, list[Finding]]:
    """The installation as far as it can be read, and what is wrong with its settings; None without the common ones."""
    lines: list[str] = []
    common: SettingsAsGiven | None = _read(partial(environment.read, SettingsAsGiven), lines)
    for kind in (SiteSettings, FrontSettings):
        _read(partial(environment.read, kind), lines)
    _read(environment.insist_on_known_variables, lines)
    settings: dict[str, ServiceSettings] = {}
    for name in names:
        own = _read(partial(environment.read_service, name), lines)
        if own is not None:
            settings[name] = own
    if common is not None and common.mode == "production":
        _read(partial(environment.insist_on_production, tuple(settings), working=True), lines)
    findings = [error(PART, line, _remedy(line)) for line in dict.fromkeys(lines)]
    if common is None:
        return None, findings
    patient = Patient(common, settings)
    findings += _unwise(patient)
    return patient, findings or [ok(PART, f"{common.mode} mode, {len(settings)} service(s)")]


def _read(read: Callable[[], Any], lines: list[str]) -> Any:
    try:
        return read()
    except WrongSettings as wrong:
        lines += wrong.lines
        return None


def _remedy(line: str) -> str:
    """A line of production or of an unknown variable already says what to do."""
    variable = line.split(":")[0]
    if "production needs" in line or "is not a setting" in line:
        return f"set {variable}" if "production needs" in line else f"remove or rename {variable}"
    return f"correct {variable}: {REFERENCE}"


def _unwise(patient: Patient) -> Iterator[Finding]:
    """What production puts up with, because something around it may make up for it."""
    if not patient.in_production:
        return
    common = patient.common
    if common.oidc_issuer and common.oidc_issuer.startswith("http://"):
        yield warning(
            PART, "MAINSTAY_OIDC_ISSUER is asked for its keys without encryption", "set it to an https:// address"
        )
    if common.event_log == "kafka" and common.kafka_security_protocol in {"PLAINTEXT", "SASL_PLAINTEXT"}:
        yield warning(
            PART,
            "events travel to Kafka without encryption",
            "set MAINSTAY_KAFKA_SECURITY_PROTOCOL=SASL_SSL and MAINSTAY_KAFKA_CA_FILE",
        )
    if common.event_log == "kafka" and common.kafka_replication < FEW_REPLICAS:
        yield warning(
            PART,
            f"topics are created with {common.kafka_replication} replica(s), so a broker's disk is all there is",
            "set MAINSTAY_KAFKA_REPLICATION=3, with three brokers",
        )
    notify = patient.services.get("notify")
    if isinstance(notify, NotifySettings) and notify.smtp_security == "none" and not _is_here(notify.smtp_host):
        yield warning(
            PART,
            "notices travel to the mail server without encryption",
            "set MAINSTAY_NOTIFY_SMTP_SECURITY=starttls (port 587) or tls (port 465)",
        )


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
