"""Settings: environment variables with the prefix `HEALTH_`, and a `.env` file."""

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from service.runtime.account_links import check_template
from service.runtime.errors import HealthError

Signal = Literal["usage", "ticket", "survey", "account"]
Network = IPv4Network | IPv6Network
PREFIX = "HEALTH_"
VALUE_ERROR = "Value error, "
"""The prefix that pydantic puts before a validator's message."""


class Settings(BaseSettings):
    """Every setting, with its default. Field `x_y` is read from `HEALTH_X_Y`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_file=".env", extra="ignore", frozen=True)

    database_url: SecretStr = SecretStr("postgresql://localhost:5432/health")
    database_pool_size: int = Field(5, ge=1, le=200)
    reader_password: SecretStr | None = Field(None, description="password of the role that `reader create` creates")

    kafka_bootstrap_servers: str = "localhost:9092"
    kafka_group: str = "account-health"
    kafka_instance_id: str = Field("", description="a consumer's permanent name in its group")
    kafka_session_seconds: float = Field(10, ge=1, le=300, description="a consumer silent for this long is replaced")
    kafka_partitions: int = Field(12, ge=1, le=10_000)
    kafka_replication: int = Field(0, ge=0, description="0: three, or as many as there are brokers if fewer")
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    kafka_sasl_mechanism: Literal["", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = ""
    kafka_sasl_username: str = ""
    kafka_sasl_password: SecretStr | None = None
    kafka_ssl_ca_file: str = Field("", description="authorities to trust, in PEM form, instead of the system's")
    kafka_ssl_cert_file: str = Field("", description="the client certificate, if brokers ask for one")
    kafka_ssl_key_file: str = ""
    kafka_ssl_check_hostname: bool = True
    kafka_idle_seconds: float = Field(0.0, ge=0, le=10, description="a pause between empty fetches")
    topic_usage: str = Field("usage-events", min_length=1)
    topic_ticket: str = Field("ticket-events", min_length=1)
    topic_survey: str = Field("survey-events", min_length=1)
    topic_account: str = Field("account-events", min_length=1)
    dead_letter_topics: bool = Field(False, description="publish dead letters to TOPIC.dead-letters too")

    retention_days: int = Field(92, ge=1, le=3660)
    history_retention_days: int = Field(400, ge=92, le=3660, description="how long the days of scores are kept")
    max_record_bytes: int = Field(262_144, ge=1024, le=16_777_216)
    batch_max_records: int = Field(150_000, ge=1, le=1_000_000)
    dead_letter_max_run: int = Field(
        200, ge=0, le=1_000_000, description="after more refused in a row, is this version to blame? 0: never"
    )
    dead_letter_max_share: float = Field(0.5, gt=0, le=1, description="the same, of its last 1,000 records; 1: never")
    sweep_interval_seconds: float = Field(1.0, gt=0, le=3600)
    sweep_batch: int = Field(1_000, ge=1, le=100_000)
    forecast_share: float = Field(0.25, ge=0, le=1, description="of a sweeper's time, at most; 0: no forecasts")
    forecast_days: int = Field(90, ge=1, le=365, description="how far ahead silence is forecast")

    backtest_folder: str = Field("", description="the folder of logs and outcomes that POST /v1/backtests may name")

    http_host: str = "127.0.0.1"
    http_port: int = Field(8080, ge=0, le=65_535)
    http_max_body_bytes: int = Field(4_194_304, ge=1024)
    http_max_requests: int = Field(512, ge=1, le=100_000, description="at once, in one process; more get a 503")
    http_timeout_seconds: float = Field(30.0, gt=0, le=600, description="for a request, including its body's arrival")
    http_rate_limit: float = Field(1_000.0, ge=0, description="requests a second by one key, in one process; 0: any")
    http_wrong_keys: int = Field(30, ge=0, description="a minute, from one address, in one process; 0: any number")
    http_trusted_proxies: Annotated[tuple[Network, ...], NoDecode] = ()
    public_url: str = Field("", description="the base of links in alerts; by default http://HOST:PORT")

    account_url: str = Field("", description="an account's page, for links: {account_id} is the id")

    probes_host: str = "127.0.0.1"
    probes_port: int = Field(0, ge=0, le=65_535, description="of probes and metrics without a key; 0: none")
    watchdog_seconds: float = Field(300.0, ge=60, le=86_400, description="a loop silent for this long is stuck")

    encryption_key: SecretStr | None = None
    webhook_allow_networks: Annotated[tuple[Network, ...], NoDecode] = ()
    webhook_allow_http: bool = False
    webhook_ca_file: str = Field("", description="authorities to trust besides the system's, in PEM form")
    webhook_timeout_seconds: float = Field(15.0, gt=0, le=60)
    webhook_concurrency: int = Field(256, ge=1, le=10_000)

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json", "text"] = "auto"
    tracing: Literal["off", "otlp"] = Field("off", description="otlp takes its address from OTEL_EXPORTER_OTLP_…")

    @field_validator("webhook_allow_networks", "http_trusted_proxies", mode="before")
    @classmethod
    def _split_networks(cls, value: object) -> object:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("database_url")
    @classmethod
    def _postgres_only(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value().startswith(("postgresql://", "postgres://")):
            raise ValueError("must start with postgresql://")
        return value

    @field_validator("account_url")
    @classmethod
    def _template(cls, value: str) -> str:
        return check_template(value) if value else value

    @property
    def topics(self) -> dict[Signal, str]:
        """Topic name by signal."""
        return {
            "usage": self.topic_usage,
            "ticket": self.topic_ticket,
            "survey": self.topic_survey,
            "account": self.topic_account,
        }

    @property
    def base_url(self) -> str:
        """The public address of this service, without a trailing slash."""
        return self.public_url.rstrip("/") or f"http://{self.http_host}:{self.http_port}"


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings; `environment` takes precedence over the process's own and `.env`.

    Raises `HealthError` that names the variable and its allowed values.
    """
    given: dict[str, Any] = {name.removeprefix(PREFIX).lower(): value for name, value in (environment or {}).items()}
    try:
        return Settings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        name = PREFIX + "_".join(str(part) for part in first["loc"][:1]).upper()
        raise HealthError(
            f"{name} can't be used: {first['msg'].removeprefix(VALUE_ERROR)}", f"Set {name} to a valid value"
        ) from None
