"""One HTTP request to an untrusted server: its address is checked, its time and size are bounded."""

import asyncio
import errno
import functools
import os
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Literal

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from service.delivery.transport import tls
from service.delivery.transport.address_guard import is_permitted
from service.delivery.transport.decompress import decompress
from service.delivery.transport.response_head import RecordingHandler, answer_start, read_head
from service.runtime.settings import Network
from service.targets.target import Credentials

KEEP_BYTES = 4_096
READ_BYTES = 65_536
IDLE_SECONDS = 4.0  # many servers hang up after 5 s, which would look like a failure

Failure = Literal["address", "connection", "name", "prepare", "protocol", "refused", "timeout", "tls", "token"]


@dataclass(frozen=True, slots=True)
class Request:
    """A request, complete and signed; with `credentials`, a bearer token fetched with them has yet to be added."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    content: bytes = field(repr=False)
    method: str = "POST"
    credentials: Credentials | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply: a `status`, or a `failure` with `error` for people, which reveals no address or secret.

    It has both if a 2xx was no success: its body says that the message was `refused`. `excerpt` is the part of the body
    that is shown, `body` the part that targets read. `limited` is a failure because the receiver asked to come later,
    and `cut` an answer of which only the status can be trusted.
    """

    status: int | None = None
    retry_after: str | None = None
    excerpt: bytes = field(default=b"", repr=False)
    failure: Failure | None = None
    error: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    body: bytes = field(default=b"", repr=False, compare=False)
    limited: bool = False
    cut: bool = field(default=False, compare=False)


class RefusedAddressError(OSError):
    """A connection that the guard did not open. Its text is always the same, as resolved addresses must not leak."""

    def __init__(self) -> None:
        """`EACCES`: aiohappyeyeballs raises errors of several addresses as one if their texts are the same."""
        super().__init__(errno.EACCES, "the host has an address that webhooks must not be sent to")


@asynccontextmanager
async def open_session(
    allow: Sequence[Network], resolver: AbstractResolver, ca_file: str = ""
) -> AsyncIterator[aiohttp.ClientSession]:
    """A client that connects to permitted addresses only, and uses no proxy, cookie or netrc.

    It trusts the system's authorities and those in `ca_file`; raises `HealthError` if that can't be read.

    aiohttp calls `socket_factory` once for each address it is about to connect to, host names and literals alike, and
    connects to exactly that address; so a name that resolves differently from one moment to the next gains nothing.
    """
    connector = aiohttp.TCPConnector(
        resolver=resolver,
        socket_factory=_guard(allow),
        limit=0,  # the worker bounds concurrency; a second bound here would make endpoints wait for each other
        keepalive_timeout=IDLE_SECONDS,
        ssl=tls.ssl_context(ca_file),
    )
    # aiohttp has no public way to see the bytes of an answer that it can't parse.
    loop = asyncio.get_running_loop()
    connector._factory = functools.partial(RecordingHandler, loop=loop)  # type: ignore[assignment] # a kind of ResponseHandler
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,  # a small compressed answer must not grow in memory
        timeout=aiohttp.ClientTimeout(total=None),  # `send` has its own, which covers everything
    ) as session:
        yield session


def _guard(allow: Sequence[Network]) -> Callable[[aiohttp.AddrInfoType], socket.socket]:
    def open_socket(info: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, address = info
        if not is_permitted(str(address[0]), allow):
            raise RefusedAddressError
        return socket.socket(family, kind, protocol)

    return open_socket


async def send(
    session: aiohttp.ClientSession, request: Request, timeout_seconds: float, *, keep_bytes: int = KEEP_BYTES
) -> Reply:
    """Send the request; failures are in the reply, and nothing is raised except cancellation.

    Takes no longer than `timeout_seconds`, name look-up and slow answers included. A redirect is an answer and is not
    followed. Once there is a status it counts, whatever happens to headers and body, of which `keep_bytes` are kept.
    """
    reply: Reply | None = None
    body, start = bytearray(), bytearray()
    watching = answer_start.set(start)
    try:
        async with (
            asyncio.timeout(timeout_seconds),
            session.request(
                request.method, URL(request.url), data=request.content, headers=request.headers, allow_redirects=False
            ) as response,
        ):
            headers = _plain_headers(response)
            reply = Reply(response.status, headers.get("retry-after"), headers=headers)
            await _read_start(response, body)
    except TimeoutError:
        reply = reply or Reply(failure="timeout", error=f"no answer within {timeout_seconds:g} s")
    except (aiohttp.ClientError, OSError, ValueError) as error:
        reply = reply or _partial_reply(start, body) or _failure_reply(error)
    finally:
        answer_start.reset(watching)
    shown = decompress(bytes(body), reply.headers.get("content-encoding", ""), READ_BYTES)
    return replace(reply, excerpt=shown[:keep_bytes], body=shown)


def _partial_reply(start: bytearray, body: bytearray) -> Reply | None:
    head = read_head(bytes(start))
    if head is None:
        return None
    body += head.rest
    problem = "the status was read, and what follows it is not valid HTTP"
    return Reply(head.status, head.headers.get("retry-after"), error=problem, headers=head.headers, cut=True)


def _plain_headers(response: aiohttp.ClientResponse) -> dict[str, str]:
    """Headers by name in lower case; of several with one name, the first."""
    return {name.lower(): value for name, value in reversed(list(response.headers.items()))}


async def _read_start(response: aiohttp.ClientResponse, body: bytearray) -> None:
    """Collect the body's start. Reading to its end keeps the connection usable; a long body is cut off by closing
    it.
    """
    while len(body) < READ_BYTES:
        chunk = await response.content.read(READ_BYTES - len(body))
        if not chunk:
            return
        body += chunk
    response.close()


def _failure_reply(error: Exception) -> Reply:
    if (cause := _tls_error(error)) is not None:
        return Reply(failure="tls", error=tls.describe_failure(cause))
    match error:
        case aiohttp.ClientConnectorDNSError():
            return Reply(failure="name", error="the host name can't be resolved")
        case aiohttp.ClientConnectorError(os_error=RefusedAddressError() as refused):
            return Reply(failure="address", error=refused.strerror)
        case OSError(errno=int(number)):
            return Reply(failure="connection", error=f"connection failed: {os.strerror(number)}")
        case aiohttp.ClientConnectionError() | OSError():
            return Reply(failure="connection", error="connection failed or closed before an answer")
        case _:
            return Reply(failure="protocol", error="the URL or the answer was not valid HTTP")


def _tls_error(error: Exception) -> ssl.SSLError | None:
    """The TLS error inside one of aiohttp's errors, which keep it in different places."""
    causes = (getattr(error, name, None) for name in ("certificate_error", "os_error", "__cause__"))
    return next((each for each in (*causes, error) if isinstance(each, ssl.SSLError)), None)
