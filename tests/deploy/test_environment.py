"""What ends start-up: variables that nobody knows, and in production whatever only development puts up with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from deploy import environment
from deploy.environment import WrongSettings
from tests.deploy.conftest import Given

DATABASE = "postgresql://mainstay:9f2c41d07b@db/x"
SELLER = {
    "billing_seller_name": "Harbour Care Ltd",
    "billing_seller_street": "Quay 3",
    "billing_seller_city": "Hamburg",
    "billing_seller_postal_code": "20457",
    "billing_seller_country": "DE",
}
MAIL = {"notify_smtp_host": "mail.harbour.org", "notify_smtp_port": "587", "notify_sender": "Care <care@harbour.org>"}
DATABASES = {f"{name}_database_url": DATABASE for name in ("contracts", "billing", "backup", "notify")}


@pytest.fixture
def production(given: Given, tmp_path: Path) -> Given:
    """A whole installation that production puts up with; then what a test changes about it."""
    given(mode="production", oidc_issuer="https://id.harbour.org", data_dir=str(tmp_path), event_log="kafka")
    given(kafka_bootstrap="kafka:9093", backup_key_file=str(tmp_path / "key"), **DATABASES, **SELLER, **MAIL)
    given(contracts_vault_key_file=str(tmp_path / "vault"))
    return given


def lines_of(read: Callable[[], object]) -> list[str]:
    with pytest.raises(WrongSettings) as refused:
        read()
    return refused.value.lines


@pytest.mark.parametrize(
    ("variable", "value", "advice"),
    [
        ("MAINSTAY_BILLING_DATABASE", "hunter2", "is not a setting; did you mean MAINSTAY_BILLING_DATABASE_URL?"),
        ("MAINSTAY_NOTIFY_SMTP_PASWORD", "hunter2", "is not a setting; did you mean MAINSTAY_NOTIFY_SMTP_PASSWORD?"),
        ("mainstay_prot", "hunter2", "is not a setting; did you mean MAINSTAY_PORT?"),
        ("MAINSTAY_WEATHER", "hunter2", "is not a setting; docs/operations/settings.md lists them all"),
        (
            "MAINSTAY_BILLING_PORT",
            "tcp://10.0.0.1:8000",
            "is not a setting; Kubernetes sets it unless the pod has enableServiceLinks: false",
        ),
    ],
)
def test_a_variable_that_nobody_knows_ends_start_up_with_its_name_and_not_its_value(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, advice: str
) -> None:
    monkeypatch.setenv(variable, value)
    assert lines_of(environment.read_common) == [f"{variable.upper()}: {advice}"]


def test_a_file_that_nobody_knows_ends_start_up_too(given: Given, tmp_path: Path) -> None:
    given(secrets_dir=str(tmp_path))
    (tmp_path / "mainstay_notify_smtp_pasword").write_text("hunter2")
    assert lines_of(environment.read_common) == [
        f"MAINSTAY_NOTIFY_SMTP_PASWORD: {tmp_path}/mainstay_notify_smtp_pasword: is not a setting; "
        "did you mean MAINSTAY_NOTIFY_SMTP_PASSWORD?"
    ]


def test_settings_of_other_services_and_processes_are_known(given: Given) -> None:
    given(notify_smtp_host="mail", contracts_url="http://contracts:8000", demo_token_admin="x", mailbox_port="0")
    given(require="postgres")
    assert environment.read_common().mode == "development"


def test_production_starts_when_everything_is_said(production: Given) -> None:
    assert set(environment.read_whole().services) == {"contracts", "billing", "backup", "notify"}


def test_all_that_production_lacks_is_said_at_once(given: Given) -> None:
    given(mode="production", clock="virtual")
    assert [line.split(":")[0].removeprefix("MAINSTAY_") for line in lines_of(environment.read_whole)] == [
        "OIDC_ISSUER",
        "CLOCK",
        "DATA_DIR",
        "EVENT_LOG_URL",
        "CONTRACTS_DATABASE_URL",
        "CONTRACTS_VAULT_KEY_FILE",
        "BILLING_DATABASE_URL",
        "BILLING_SELLER_NAME",
        "BILLING_SELLER_STREET",
        "BILLING_SELLER_CITY",
        "BILLING_SELLER_POSTAL_CODE",
        "BILLING_SELLER_COUNTRY",
        "BACKUP_DATABASE_URL",
        "BACKUP_KEY_FILE",
        "NOTIFY_DATABASE_URL",
        "NOTIFY_SMTP_HOST",
        "NOTIFY_SMTP_PORT",
        "NOTIFY_SENDER",
    ]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"oidc_issuer": "https://mainstay.org/dev-issuer"}, "MAINSTAY_OIDC_ISSUER: production needs an identity"),
        ({"clock": "virtual"}, "MAINSTAY_CLOCK: production runs on the system clock"),
        ({"data_dir": ".data"}, "MAINSTAY_DATA_DIR: production needs a folder that is named in full"),
        ({"event_log": "sql"}, "MAINSTAY_EVENT_LOG_URL: production needs PostgreSQL or Kafka"),
        ({"event_log": "sql", "event_log_url": "sqlite:///e.db"}, "MAINSTAY_EVENT_LOG_URL: production needs Post"),
        ({"billing_database_url": "sqlite:////b.db"}, "MAINSTAY_BILLING_DATABASE_URL: production needs PostgreSQL"),
        ({"billing_database_url": "postgresql://b:mainstay@d/b"}, "MAINSTAY_BILLING_DATABASE_URL: production needs a"),
        ({"notify_smtp_password": "Change-Me!", "notify_smtp_security": "tls"}, "MAINSTAY_NOTIFY_SMTP_PASSWORD: prod"),
        ({"backup_repositories": "rest:https://b:test@backup/"}, "MAINSTAY_BACKUP_REPOSITORIES: production needs a"),
        ({"notify_sender": "M <notices@mainstay.example>"}, "MAINSTAY_NOTIFY_SENDER: production needs an address"),
    ],
    ids=str,
)
def test_production_refuses_what_only_development_puts_up_with(
    production: Given, change: dict[str, str], line: str
) -> None:
    production(**change)
    [said] = lines_of(environment.read_whole)
    assert said.startswith(line)


def test_a_transit_engine_takes_the_place_of_the_vaults_key_file(
    monkeypatch: pytest.MonkeyPatch, production: Given
) -> None:
    monkeypatch.delenv("MAINSTAY_CONTRACTS_VAULT_KEY_FILE")
    production(contracts_vault_transit_url="https://vault:8200")
    [said] = lines_of(environment.read_whole)
    assert said.startswith("MAINSTAY_CONTRACTS_VAULT_TRANSIT_TOKEN: is needed")
    production(contracts_vault_transit_token="hvs.of-a-test-and-nothing-else")
    environment.read_whole()
    production(contracts_vault_transit_url="http://vault:8200")
    assert lines_of(environment.read_whole) == ["MAINSTAY_CONTRACTS_VAULT_TRANSIT_URL: production needs https"]
    production(contracts_vault_transit_url="https://user:hunter2@vault:8200")
    [said] = lines_of(environment.read_whole)
    assert said.startswith("MAINSTAY_CONTRACTS_VAULT_TRANSIT_URL: ")
    assert "hunter2" not in said


def test_an_api_needs_only_what_it_uses(monkeypatch: pytest.MonkeyPatch, production: Given) -> None:
    for name in ("kafka_bootstrap", "notify_smtp_host", "backup_key_file", "backup_database_url"):
        monkeypatch.delenv(f"MAINSTAY_{name.upper()}")
    environment.read_server("billing", working=False)
    environment.read_server("notify", working=False)
    environment.read_server(working=False)
    assert len(lines_of(lambda: environment.read_server("notify", working=True))) == 2
