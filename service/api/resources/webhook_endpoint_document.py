"""A webhook endpoint as people write it, checked, and as it is stored."""

from typing import Annotated, Any, Literal

import msgspec
from pydantic import AfterValidator, Field

from service.api.http.account_paths import Printable
from service.api.http.problems import FieldError, invalid
from service.api.http.request_bodies import StrictModel
from service.delivery.rate_limit import SLOWEST
from service.delivery.transport.url_rules import check_destination, check_headers
from service.runtime.errors import HealthError
from service.runtime.settings import Settings
from service.runtime.vault import Vault
from service.storage.webhooks.endpoints import Endpoint
from service.targets import TARGETS, target_of
from service.targets.options import InvalidOptionsError, options_text

EventType = Literal[
    "health.threshold.crossed",
    "health.threshold.resolved",
    "health.band.changed",
    "health.score.dropped",
    "health.digest",
]
Words = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=200), Printable()]],
    Field(min_length=1, max_length=200),
]

EXAMPLE = {"url": "https://crm.example.com/hooks/health", "bands": ["red"], "segments": ["enterprise"]}


def _known_target(target: str) -> str:
    if target not in TARGETS:
        raise ValueError(f"must be one of {', '.join(TARGETS)}")
    return target


class _Settings(StrictModel):
    """The settings of an endpoint. A filter of null takes all; otherwise an alert has to match each filter."""

    target: Annotated[str, AfterValidator(_known_target), Field(json_schema_extra={"enum": [*TARGETS]})] = "standard"
    description: Annotated[str, Field(max_length=1000), Printable()] = ""
    enabled: bool = True
    headers: dict[str, str] | None = Field(None, description="Additional request headers. They are stored encrypted.")
    options: dict[str, Any] | None = Field(
        None, description="The target's settings beside the URL. They are stored encrypted."
    )
    event_types: Annotated[list[EventType], Field(min_length=1)] | None = None
    rules: Words | None = Field(None, description="Ids or names of alert rules.")
    bands: Annotated[list[Literal["green", "yellow", "red", "unknown"]], Field(min_length=1)] | None = None
    segments: Words | None = None
    stages: Words | None = None
    owners: Words | None = None
    ordered: bool = Field(False, description="Send an account's alerts strictly one after the other.")
    rate_limit: float | None = Field(
        None,
        ge=SLOWEST,
        le=1000,
        description="The most messages a second. Null is the target's own limit: one for `slack` and `teams`, "
        "none elsewhere.",
    )


class EndpointBody(_Settings):
    """A whole endpoint: omitted fields take their defaults."""

    url: str


class EndpointPatch(_Settings):
    """A change: omitted fields stay."""

    url: str = ""


def all_columns(body: EndpointBody, settings: Settings, vault: Vault) -> Any:
    """The columns of an endpoint that is created or replaced."""
    columns = _sealed_headers(body.model_dump(), vault)
    columns["url"] = _checked_url(body.url, body.target, settings)
    columns["options"] = _sealed_options(body.target, body.options, vault)
    columns["rate_limit"] = _rate(body.target, body.rate_limit)
    return columns


def changed_columns(patch: EndpointPatch, stored: Endpoint, settings: Settings, vault: Vault) -> Any:
    """The columns that a patch of a stored endpoint changes. URL, target and options must fit together afterwards."""
    columns = _sealed_headers(patch.model_dump(exclude_unset=True), vault)
    target = columns.get("target", stored.target)
    if columns.keys() & {"target", "url"}:
        columns["url"] = _checked_url(columns.get("url", stored.url), target, settings)
    if columns.keys() & {"target", "options"}:
        options = columns["options"] if "options" in columns else _stored_options(stored, vault)
        columns["options"] = _sealed_options(target, options, vault)
    if columns.keys() & {"target", "rate_limit"}:
        columns["rate_limit"] = _rate(target, columns.get("rate_limit", stored.rate_limit))
    return columns


def _rate(target: str, given: float | None) -> float | None:
    # Chat takes about one message a second, and answers the others with 429.
    return target_of(target).rate if given is None else given


def _stored_options(stored: Endpoint, vault: Vault) -> Any:
    return msgspec.json.decode(vault.open(stored.options)) if stored.options else None


def _sealed_options(target: str, options: Any, vault: Vault) -> bytes | None:
    try:
        text = options_text(target, options)
    except InvalidOptionsError as error:
        raise invalid(FieldError(error.field, error.problem)) from None
    return vault.seal(text) if text else None


def _sealed_headers(columns: dict[str, Any], vault: Vault) -> dict[str, Any]:
    if headers := columns.get("headers"):
        try:
            check_headers(headers)
        except HealthError as error:
            raise _refused("headers", error) from None
        columns["headers"] = vault.seal(msgspec.json.encode(headers))
    elif "headers" in columns:
        columns["headers"] = None
    return columns


def _checked_url(url: str, target: str, settings: Settings) -> str:
    try:
        return check_destination(url, target_of(target), settings)
    except HealthError as error:
        raise _refused("url", error) from None


def _refused(field: str, error: HealthError) -> Exception:
    return invalid(FieldError(field, str(error).removeprefix(f"{field} ")))
