"""Checks an endpoint's URL or topic and its additional headers when it is created, for a clear message.

The URL check is a courtesy, not the guard: a name can resolve to anything by the time it is used, so `http` checks
every address again when it connects.
"""

import re
from collections.abc import Mapping, Sequence
from ipaddress import IPv6Address

from yarl import URL

from service.delivery.transport.address_guard import is_permitted
from service.messaging.topics import dead_letter_topic
from service.runtime.errors import HealthError
from service.runtime.settings import Network, Settings
from service.targets.target import Target

LONGEST_URL = 2048
MOST_HEADERS = 20
LARGEST_HEADERS = 4096
KAFKA_SCHEME = "kafka:"

_NAME = re.compile(r"(?=.{1,254}$)[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_][a-z0-9_-]{0,62})*\.?")
_NUMERIC_END = re.compile(r"(^|.*\.)([0-9]+|0x[0-9a-f]*)\.?")
_DOTTED_QUAD = re.compile(r"(0|[1-9][0-9]{0,2})(\.(0|[1-9][0-9]{0,2})){3}")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TOPIC = re.compile(r"(?!\.{1,2}$)(?!__)[a-zA-Z0-9._-]{1,249}")
_PUBLIC_ONLY = "Use a public address, or have the operator add its range to HEALTH_WEBHOOK_ALLOW_NETWORKS"
_RESERVED_HEADERS = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "cookie",
        "expect",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
    }
)


def check_destination(text: str, target: Target, settings: Settings) -> str:
    """Check the URL of an endpoint of `target`: `kafka:TOPIC` if it is sent over Kafka, else as `check_url` does.

    Raises `HealthError`, which names the field `url`.
    """
    if target.transport == "kafka":
        return _check_topic(text, settings)
    return check_url(text, allow_http=settings.webhook_allow_http, allow=settings.webhook_allow_networks)


def _check_topic(text: str, settings: Settings) -> str:
    topic = topic_of(text)
    if not text.startswith(KAFKA_SCHEME) or not _TOPIC.fullmatch(topic):
        raise HealthError("url must be kafka: and the name of a topic", "Write it as kafka:health-alerts")
    # Consumers would refuse alerts there as events, each one a dead letter.
    ours = [*settings.topics.values(), *(dead_letter_topic(topic) for topic in settings.topics.values())]
    if topic in ours:
        raise HealthError("url must not name a topic that the service itself reads or writes", "Use another topic")
    return text


def topic_of(url: str) -> str:
    """The topic of a Kafka URL that `check_destination` has accepted."""
    return url.removeprefix(KAFKA_SCHEME)


def check_url(text: str, *, allow_http: bool, allow: Sequence[Network]) -> str:
    """The URL in the form in which it is requested; raises `HealthError` with the field `url`, the problem and the
    remedy.

    Host names are not resolved here. Numbers that some resolvers read as an address (`127.1`, `0x7f000001`,
    `2130706433`) are refused in every notation.
    """
    url = _parse(text)
    if url.scheme != "https" and not (url.scheme == "http" and allow_http):
        raise HealthError("url must start with https://", "Give the receiver's HTTPS address")
    if url.user is not None or url.password is not None:
        raise HealthError("url must not hold a user name or password", "Send credentials in the endpoint's headers")
    if url.port == 0:
        raise HealthError("url has port 0", "Use a port from 1 to 65535")
    _check_host(url.raw_host or "", allow)
    return str(url.with_fragment(None))


def _parse(text: str) -> URL:
    if len(text) > LONGEST_URL:
        raise HealthError(f"url is longer than {LONGEST_URL} characters", "Shorten it")
    # Parsers disagree about these characters, and a disagreement about where the host ends bypasses a check.
    if "\\" in text or not text.isprintable() or any(character.isspace() for character in text):
        raise HealthError("url holds a space, a backslash or a control character", "Percent-encode it")
    try:
        return URL(text)
    except (ValueError, IndexError):  # yarl 1.25 meets "https://[]@/" with an IndexError
        raise HealthError("url can't be read", "Write it as https://host/path") from None


def _check_host(host: str, allow: Sequence[Network]) -> None:
    if ":" in host or _NUMERIC_END.fullmatch(host):
        _check_literal(host, allow)
    elif not _NAME.fullmatch(host):
        raise HealthError("url names no valid host", "Write it as https://host/path")
    elif f".{host.rstrip('.')}".endswith(".localhost") and not is_permitted("127.0.0.1", allow):
        raise HealthError("url must not point to this machine", _PUBLIC_ONLY)


def _check_literal(host: str, allow: Sequence[Network]) -> None:
    if not (_DOTTED_QUAD.fullmatch(host) or _is_ipv6(host)):
        raise HealthError("url holds an address in an unusual form", "Write it as 192.0.2.1 or [2001:db8::1]")
    if not is_permitted(host, allow):
        raise HealthError("url must not point to a private or reserved address", _PUBLIC_ONLY)


def _is_ipv6(host: str) -> bool:
    try:
        return IPv6Address(host).scope_id is None
    except ValueError:
        return False


def check_headers(headers: Mapping[str, str]) -> None:
    """Check that each header can be sent besides our own; raises `HealthError`, which names `headers`, if not."""
    if len(headers) > MOST_HEADERS or sum(len(name) + len(value) for name, value in headers.items()) > LARGEST_HEADERS:
        raise HealthError(
            "headers are too many", f"Give at most {MOST_HEADERS}, of {LARGEST_HEADERS} characters together"
        )
    seen: set[str] = set()
    for name, value in headers.items():
        if name.lower() in seen:
            raise HealthError(f"headers contain {name} twice", "HTTP ignores upper and lower case: give it once")
        seen.add(name.lower())
        if not _TOKEN.fullmatch(name):
            raise HealthError("headers hold a name that HTTP does not allow", "Use letters, digits and hyphens")
        if is_reserved_header(name):
            raise HealthError(f"headers must not hold {name}", "Leave it out: the service sets it, or must not send it")
        if not (value.isascii() and value.isprintable()):
            raise HealthError(f"headers hold a value of {name} that is not printable ASCII", "Encode the value")


def is_reserved_header(name: str) -> bool:
    """True if an endpoint must not set this header: it frames the message, signs it, or belongs to a proxy."""
    lower = name.lower()
    return lower in _RESERVED_HEADERS or lower.startswith(("webhook-", "proxy-"))
