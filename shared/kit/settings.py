"""What every process reads from its environment; each variable is a field here or in a service's settings.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from shared.kit.development_leftovers import is_well_known, password_in
from shared.kit.secret_files import SecretFiles, variables_of

DEVELOPMENT_ISSUER = "/dev-issuer"


def needed(what: str, *, by_workers_only: bool = False) -> dict[str, Any]:
    """For a field that production insists on: `what` completes "production needs …"."""
    return {"production": what, "workers": by_workers_only}


class Settings(BaseSettings):
    """Base of all settings: out of the environment, or out of files (`SecretFiles`); the environment wins."""

    model_config = SettingsConfigDict(env_prefix="MAINSTAY_", extra="ignore", frozen=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, SecretFiles(settings_cls)

    def left_to_chance(self, *, working: bool) -> list[str]:
        """A line for each field that production insists on and nobody set; and for each secret that everybody knows.

        `working`: whether this process is a worker, or has one.
        """
        lines = []
        for name, variable in variables_of(type(self)).items():
            field, value = type(self).model_fields[name], getattr(self, name)
            wanted = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
            unset = name not in self.model_fields_set or value is None
            if "production" in wanted and unset and (working or not wanted["workers"]):
                lines.append(f"{variable}: production needs {wanted['production']}")
            if isinstance(value, SecretStr) and is_well_known(password_in(value.get_secret_value())):
                lines.append(f"{variable}: production needs a password that nobody can guess")
        return lines


class CommonSettings(Settings):
    """`MAINSTAY_…`: the same for every service of one installation."""

    mode: Literal["development", "production"] = Field(
        "development", description="production refuses the development issuer, the virtual clock, SQLite and defaults"
    )
    host: str = Field("127.0.0.1", description="address the HTTP server listens on")
    port: int = Field(8000, ge=0, le=65535, description="port the HTTP server listens on")
    data_dir: Path = Field(Path(".data"), description="folder for SQLite files, evidence, repositories and keys")
    secrets_dir: Path | None = Field(
        None,
        description="folder with a file per variable, named like it in lower case, for what is not to be in the "
        "environment; itself only ever a variable",
    )
    public_url: str | None = Field(None, description="where callers reach the installation; default http://host:port")
    clock: Literal["system", "virtual"] = Field("system", description="virtual: time can be moved forward over HTTP")

    event_log: Literal["sql", "kafka"] = Field("sql", description="which adapter carries events between services")
    event_log_url: SecretStr | None = Field(None, description="database of the SQL log; default an SQLite file")
    kafka_bootstrap: str = Field("localhost:9092", description="Kafka bootstrap servers, host:port[,host:port…]")
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="whether connections to Kafka are encrypted (SSL) and signed in to (SASL)"
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="how to sign in to Kafka"
    )
    kafka_username: str | None = Field(None, description="who signs in to Kafka: mainstay-billing, for instance")
    kafka_password: SecretStr | None = Field(None, description="password of kafka_username")
    kafka_ca_file: Path | None = Field(
        None, description="certificates (PEM) that Kafka's are checked against; default those of the system"
    )
    kafka_session_seconds: float = Field(
        30, ge=6, le=300, description="after so long without a sign of life another replica takes a worker's partitions"
    )
    kafka_instance_id: str | None = Field(
        None, description="a name that stays with this worker: restarted in time, it takes its partitions back at once"
    )
    kafka_partitions: int = Field(12, ge=1, le=1000, description="partitions of a topic that is created")
    kafka_replication: int = Field(1, ge=1, le=10, description="replicas of a topic that is created")
    kafka_retention_days: int = Field(
        30,
        ge=1,
        le=3650,
        description="how long a topic that is created keeps its records; longer than any backup is old",
    )

    oidc_issuer: str | None = Field(
        None,
        description="OpenID Connect issuer; none: the development issuer",
        json_schema_extra=needed("an OpenID Connect issuer: the address of your identity provider"),
    )
    oidc_jwks_url: str | None = Field(
        None, description="where the issuer's keys are read; default: where its discovery document says"
    )
    oidc_audience: str = Field("mainstay", description="the audience a token must name")
    oidc_algorithms: tuple[str, ...] = Field(
        ("RS256", "ES256", "Ed25519", "EdDSA"), description="accepted signature algorithms"
    )
    oidc_roles_claim: str = Field("roles", description="claim that lists the caller's roles")

    rate_limit_per_second: float = Field(
        100, ge=0, le=1_000_000, description="requests per second of one caller, per service and process; 0: any"
    )
    rate_limit_burst: int = Field(500, ge=1, le=1_000_000, description="requests a caller may make at once")
    body_seconds: float = Field(
        20, gt=0, le=3600, description="how long a body may take to arrive, besides its time at 16 KiB per second"
    )

    drain_seconds: float = Field(
        0,
        ge=0,
        le=60,
        description="after the signal to stop, how long requests are still taken while /readyz already says no: "
        "as long as balancers need to notice",
    )

    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="what is logged at least")
    log_format: Literal["json", "console"] = Field("json", description="console: lines for people")
    otlp_endpoint: str | None = Field(None, description="OpenTelemetry collector (OTLP over HTTP); none: no traces")
    pool_size: int = Field(10, ge=1, le=200, description="database connections per process and service")

    @model_validator(mode="after")
    def _production_is_strict(self) -> CommonSettings:
        if self.mode == "production" and (lines := self._unfit_anywhere()):
            raise ValueError("\n".join(lines))
        return self

    def unfit_for_production(self, *, keeping_files: bool, working: bool) -> list[str]:
        """A line per variable with what to set; `keeping_files`, `working`: what the process does."""
        lines = self._unfit_anywhere()
        if keeping_files and not self.data_dir.is_absolute():
            lines.append("MAINSTAY_DATA_DIR: production needs a folder that is named in full")
        if working and self.event_log == "kafka" and "kafka_bootstrap" not in self.model_fields_set:
            lines.append("MAINSTAY_KAFKA_BOOTSTRAP: production needs the names of its brokers")
        if working and self.event_log == "sql":
            url = self.event_log_url
            if url is None or url.get_secret_value().startswith("sqlite"):
                lines.append("MAINSTAY_EVENT_LOG_URL: production needs PostgreSQL or Kafka for its events")
        return lines

    def _unfit_anywhere(self) -> list[str]:
        lines = self.left_to_chance(working=True)
        if (self.oidc_issuer or "").rstrip("/").endswith(DEVELOPMENT_ISSUER):
            lines.append("MAINSTAY_OIDC_ISSUER: production needs an identity provider, not a development issuer")
        if self.clock == "virtual":
            lines.append("MAINSTAY_CLOCK: production runs on the system clock")
        return lines

    @property
    def base_url(self) -> str:
        """Where callers reach the installation, without a trailing slash."""
        return (self.public_url or f"http://{_reachable(self.host)}:{self.port}").rstrip("/")

    @property
    def issuer(self) -> str:
        return self.oidc_issuer or f"{self.base_url}{DEVELOPMENT_ISSUER}"

    @property
    def sql_log_url(self) -> str:
        """The SQL log's database; raises ValueError where production would meet SQLite."""
        fallback = f"sqlite:///{self.data_dir.absolute() / 'events.db'}"
        url = self.event_log_url.get_secret_value() if self.event_log_url is not None else fallback
        return _fit_for(self, url, "MAINSTAY_EVENT_LOG_URL")


class SettingsAsGiven(CommonSettings):
    """What was set, also where production does not put up with it: for who says all that is wrong at once."""

    @model_validator(mode="after")
    def _production_is_strict(self) -> SettingsAsGiven:
        return self


class ServiceSettings(Settings):
    """Base of each service's own settings, `MAINSTAY_<SERVICE>_…`."""

    model_config = SettingsConfigDict(env_prefix="", extra="ignore", frozen=True)

    database_url: SecretStr | None = Field(
        None,
        description="postgresql://user:password@host/name; default an SQLite file in the data folder",
        json_schema_extra=needed("PostgreSQL: postgresql://user:password@host/name"),
    )

    def database_of(self, service: str, common: CommonSettings) -> str:
        """The database URL; raises ValueError where production would meet SQLite."""
        fallback = f"sqlite:///{common.data_dir.absolute() / f'{service}.db'}"
        url = self.database_url.get_secret_value() if self.database_url is not None else fallback
        return _fit_for(common, url, f"MAINSTAY_{service.upper()}_DATABASE_URL")

    def unfit_for_production(self, *, working: bool) -> list[str]:
        """A line per variable with what to set; `working`: where a worker runs."""
        lines = self.left_to_chance(working=working)
        if self.database_url is not None and self.database_url.get_secret_value().startswith("sqlite"):
            lines.append(f"{variables_of(type(self))['database_url']}: production needs PostgreSQL")
        return lines


def _fit_for(common: CommonSettings, url: str, variable: str) -> str:
    if common.mode == "production" and url.startswith("sqlite"):
        raise ValueError(f"{variable}: production needs PostgreSQL")
    return url


def _reachable(host: str) -> str:
    return "localhost" if host in {"127.0.0.1", "0.0.0.0", "::", "::1"} else host  # noqa: S104
