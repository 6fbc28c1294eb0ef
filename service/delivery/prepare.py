"""Turns a claimed delivery into a signed request, or a Kafka record. Pure except for the vault, which only computes."""

from dataclasses import replace
from datetime import datetime

import msgspec
from yarl import URL

from service.delivery.transport import signing_keys
from service.delivery.transport.http import Request
from service.delivery.transport.kafka import record_of
from service.delivery.transport.signing import sign
from service.delivery.transport.url_rules import check_destination, is_reserved_header
from service.messaging.publisher import RawRecord
from service.runtime.account_links import account_link
from service.runtime.settings import Settings
from service.runtime.vault import Vault
from service.storage.webhooks.outbox import ClaimedDelivery
from service.targets import target_of
from service.targets.message import Message


def prepare(delivery: ClaimedDelivery, vault: Vault, settings: Settings, now: datetime) -> Request | RawRecord:
    """The request of an attempt made at `now`. Every attempt has the same id and body, and its own signature.

    The URL is checked again, as the operator may have closed a network since the endpoint was created. Raises
    `HealthError` or `ValueError` if nothing can be sent.
    """
    target = target_of(delivery.target)
    url = check_destination(delivery.url, target, settings)
    options = msgspec.json.decode(vault.open(delivery.options) if delivery.options else b"{}", type=target.options)
    message = _message(delivery, settings)
    body = target.build(message, options)
    if target.transport == "kafka":
        return record_of(url, message, body)
    secrets = signing_keys.active_secrets(signing_keys.load(vault.open(delivery.secret)), now)
    headers = {
        **(_additional_headers(vault.open(delivery.headers)) if delivery.headers else {}),
        "Content-Type": body.content_type,
        "Accept-Encoding": "identity",
        "User-Agent": "account-health",
        **sign(secrets, str(delivery.alert_id), now, body.content),
    }
    credentials = target.credentials(options) if target.credentials else None
    return Request(_join_url(url, body.path, body.query), headers, body.content, body.method, credentials)


def _message(delivery: ClaimedDelivery, settings: Settings) -> Message:
    message = Message(delivery.alert_id, delivery.type, delivery.created_at, delivery.data)
    return replace(message, link=account_link(settings.account_url, message.facts.account_id))


def _join_url(url: str, path: str, query: str) -> str:
    """Append `path` to the URL's own path; an existing query stays at the end, followed by `query`."""
    if not path:
        return url
    base = URL(url)
    joined = str(base.with_path(base.raw_path.rstrip("/") + path, encoded=True, keep_query=True))
    return f"{joined}{'&' if base.raw_query_string else '?'}{query}" if query else joined


def _additional_headers(opened: bytes) -> dict[str, str]:
    headers = msgspec.json.decode(opened, type=dict[str, str])
    return {name: value for name, value in headers.items() if not is_reserved_header(name)}
