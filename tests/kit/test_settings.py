"""What the environment may say, and what production does not put up with."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from shared.kit.runtime import development_issuer
from shared.kit.settings import CommonSettings, ServiceSettings

ISSUER = "https://issuer.example"


def production(**others: Any) -> CommonSettings:
    return CommonSettings(**{"mode": "production", "oidc_issuer": ISSUER, **others})


def test_nothing_set_means_development_on_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    common = CommonSettings()
    assert (common.mode, common.base_url) == ("development", "http://localhost:8000")
    assert common.issuer == "http://localhost:8000/dev-issuer"
    assert common.sql_log_url == f"sqlite:///{tmp_path}/.data/events.db"
    assert ServiceSettings().database_of("billing", common) == f"sqlite:///{tmp_path}/.data/billing.db"


def test_variables_are_read_by_their_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAINSTAY_PORT", "9000")
    monkeypatch.setenv("MAINSTAY_HOST", "0.0.0.0")
    monkeypatch.setenv("MAINSTAY_OIDC_ALGORITHMS", '["ES256"]')
    common = CommonSettings()
    assert (common.base_url, common.oidc_algorithms) == ("http://localhost:9000", ("ES256",))
    monkeypatch.setenv("MAINSTAY_PUBLIC_URL", "https://mainstay.example/")
    assert CommonSettings().base_url == "https://mainstay.example"


@pytest.mark.parametrize("others", [{"oidc_issuer": None}, {"clock": "virtual"}])
def test_production_needs_an_issuer_and_the_system_clock(others: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        production(**others)


@pytest.mark.parametrize("url", [None, "sqlite:////tmp/billing.db"])
def test_production_keeps_no_service_on_sqlite(url: str | None) -> None:
    settings = ServiceSettings(database_url=SecretStr(url) if url else None)
    with pytest.raises(ValueError, match="MAINSTAY_BILLING_DATABASE_URL"):
        settings.database_of("billing", production())


@pytest.mark.parametrize("url", [None, "sqlite:////tmp/events.db"])
def test_production_keeps_no_event_log_on_sqlite(url: str | None) -> None:
    common = production(event_log_url=SecretStr(url) if url else None)
    with pytest.raises(ValueError, match="MAINSTAY_EVENT_LOG_URL"):
        _ = common.sql_log_url


def test_production_runs_on_postgresql() -> None:
    url = SecretStr("postgresql://mainstay:hunter2@db/billing")
    assert ServiceSettings(database_url=url).database_of("billing", production()) == url.get_secret_value()
    assert production(event_log_url=url).sql_log_url == url.get_secret_value()


def test_the_development_issuer_does_not_start_in_production(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="production"):
        development_issuer(production(data_dir=tmp_path))


@pytest.mark.parametrize(
    "wrong", [{"port": 65536}, {"port": "http"}, {"mode": "staging"}, {"pool_size": 0}, {"clock": "sundial"}]
)
def test_a_wrong_value_is_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        CommonSettings(**wrong)


def test_passwords_do_not_show() -> None:
    common = CommonSettings(
        kafka_password=SecretStr("hunter2"), event_log_url=SecretStr("postgresql://mainstay:hunter2@db/log")
    )
    assert "hunter2" not in repr(common) + str(common) + common.model_dump_json()
