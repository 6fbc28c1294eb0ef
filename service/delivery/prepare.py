"""From a claimed delivery to a signed request. Pure but for the vault, which only computes."""

from datetime import datetime

import msgspec

from service.delivery import keyring
from service.delivery.destinations import check_url, is_ours
from service.delivery.signing import sign
from service.delivery.targets import target_of
from service.delivery.targets.message import Message
from service.delivery.transport import Request
from service.secrets import Vault
from service.settings import Settings
from service.storage.deliveries import ClaimedDelivery


def prepare(delivery: ClaimedDelivery, vault: Vault, settings: Settings, now: datetime) -> Request:
    """The request of an attempt made at `now`. Every attempt has the same id and body, and a signature of its own.

    The URL is checked again, as the operator may have closed since what was open when the endpoint was created.
    Raises `HealthError` or `ValueError` if there is nothing that could be sent.
    """
    url = check_url(delivery.url, allow_http=settings.webhook_allow_http, allow=settings.webhook_allow_networks)
    target = target_of(delivery.target)
    options = msgspec.json.decode(vault.open(delivery.options) if delivery.options else b"{}", type=target.options)
    body = target.build(Message(delivery.alert_id, delivery.type, delivery.created_at, delivery.data), options)
    secrets = keyring.signing(keyring.load(vault.open(delivery.secret)), now)
    headers = {
        **(_additional(vault.open(delivery.headers)) if delivery.headers else {}),
        "Content-Type": body.content_type,
        "Accept-Encoding": "identity",
        "User-Agent": "account-health",
        **sign(secrets, str(delivery.alert_id), now, body.content),
    }
    return Request(f"{url}{body.path}", headers, body.content, body.method)


def _additional(opened: bytes) -> dict[str, str]:
    headers = msgspec.json.decode(opened, type=dict[str, str])
    return {name: value for name, value in headers.items() if not is_ours(name)}
