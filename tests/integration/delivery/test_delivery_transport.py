"""A hostile or broken receiver, or name server, can make nothing fail but its own delivery."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from types import SimpleNamespace

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from service.delivery.transport import http
from service.delivery.transport.address_guard import is_permitted
from service.delivery.transport.dns import Resolver
from service.delivery.transport.http import KEEP_BYTES, Reply, Request, open_session, send
from tests.support.webhooks import local_settings, receiver
from tests.unit.delivery.test_addresses import CLOSED

pytestmark = pytest.mark.anyio


class FakeResolver(AbstractResolver):
    """Gives one list of addresses after the other, as a rebinding name server does."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=address, port=port, family=_family(address), proto=0, flags=0)
            for address in self.answers.pop(0)
        ]

    async def close(self) -> None:
        pass


def _is_address(text: str) -> bool:
    try:
        return ip_address(text) is not None
    except ValueError:
        return False


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


async def post(url: str, resolver: AbstractResolver | None = None, seconds: float = 5) -> Reply:
    resolver = resolver or Resolver(2)
    async with open_session(local_settings().webhook_allow_networks, resolver) as session:
        reply = await send(session, Request(url, {"X-A": "a"}, b"{}"), seconds)
    await resolver.close()
    return reply


@asynccontextmanager
async def raw_server(*chunks: bytes, pause: float = 0.0, forever: bytes = b"") -> AsyncIterator[str]:
    """A server that answers any connection with these bytes, slowly, and then perhaps for ever."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            for chunk in chunks:
                writer.write(chunk)
                await writer.drain()
                await asyncio.sleep(pause)
            while forever:
                writer.write(forever)
                await writer.drain()
                await asyncio.sleep(pause)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


HOSTILE = [
    address
    for address in CLOSED
    if _is_address(address) and not is_permitted(address, local_settings().webhook_allow_networks)
]
"""All closed addresses but this machine's, which these tests allow for their receivers."""


@pytest.mark.parametrize("address", HOSTILE)
async def test_whatever_a_name_server_answers_no_socket_is_opened_to_a_closed_address(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[object] = []
    monkeypatch.setattr(http, "socket", SimpleNamespace(socket=lambda *_: opened.append(address)))
    reply = await post("http://crm.example.com/", FakeResolver([address]))
    assert (reply.status, reply.failure) == (None, "address")
    assert opened == []


def test_the_corpus_of_addresses_is_large() -> None:
    assert len(HOSTILE) >= 60


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_answer_and_not_followed(status: int) -> None:
    async with receiver() as inside:

        async def redirect(_: web.Request) -> web.StreamResponse:
            return web.Response(status=status, headers={"Location": inside.url})

        async with receiver(redirect) as outside:
            reply = await post(outside.url)
            assert len(outside.bodies) == 1
    assert reply.status == status
    assert not inside.bodies


async def test_a_name_that_changes_its_address_is_refused_when_it_is_connected() -> None:
    async with receiver() as good, receiver(host="127.0.0.2", port=good.port) as victim:
        resolver = FakeResolver(["127.0.0.1"], ["127.0.0.2"], ["127.0.0.2", "::1", "::ffff:127.0.0.2"])
        url = f"http://rebinding.example:{good.port}/"
        assert (await post(url, resolver)).status == 204
        for _ in range(2):
            reply = await post(url, resolver)
            assert reply.failure == "address"
            assert "127" not in (reply.error or "")
    assert len(good.bodies) == 1
    assert not victim.bodies


async def test_of_several_addresses_only_permitted_ones_are_connected() -> None:
    async with receiver() as good, receiver(host="127.0.0.2", port=good.port) as victim:
        reply = await post(f"http://two.example:{good.port}/", FakeResolver(["127.0.0.2", "127.0.0.1"]))
    assert reply.status == 204
    assert not victim.bodies


@pytest.mark.parametrize(
    "host", ["127.0.0.2", "127.2", "2130706434", "0x7f000002", "0177.0.0.2", "[::ffff:127.0.0.2]", "[::ffff:7f00:2]"]
)
async def test_literal_addresses_pass_the_same_guard(host: str) -> None:
    async with receiver(host="127.0.0.2") as victim:
        reply = await post(f"http://{host}:{victim.port}/")
    assert reply.status is None
    assert reply.failure in {"address", "protocol", "name"}
    assert not victim.bodies


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiver() as proxy, receiver() as crm:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert (await post(crm.url)).status == 204
    assert not proxy.bodies
    assert len(crm.bodies) == 1


async def test_of_ten_megabytes_four_kilobytes_are_kept() -> None:
    async def large(_: web.Request) -> web.StreamResponse:
        return web.Response(body=b"x" * 10_000_000)

    async with receiver(large) as crm:
        reply = await post(crm.url)
    assert reply == Reply(200, excerpt=b"x" * KEEP_BYTES)


async def test_a_body_without_end_ends_the_attempt_early() -> None:
    began = time.monotonic()
    async with raw_server(b"HTTP/1.1 200 OK\r\n\r\n", forever=b"x" * 65_536) as url:
        reply = await post(url, seconds=60)
    assert reply.status == 200
    assert time.monotonic() - began < 30, "it didn't wait for the timeout"


async def test_a_body_in_drops_is_cut_at_the_timeout_and_the_status_stands() -> None:
    began = time.monotonic()
    async with raw_server(b"HTTP/1.1 200 OK\r\n\r\n", pause=0.05, forever=b"x") as url:
        reply = await post(url, seconds=0.5)
    assert reply.status == 200
    assert reply.excerpt.startswith(b"xxx")
    assert time.monotonic() - began < 30, "each drop didn't begin the time limit again"


async def test_headers_in_drops_are_cut_at_the_timeout() -> None:
    began = time.monotonic()
    async with raw_server(b"HTTP/1.1 200 OK\r\n", pause=0.05, forever=b"a") as url:
        reply = await post(url, seconds=0.5)
    assert (reply.status, reply.failure) == (None, "timeout")
    assert time.monotonic() - began < 30, "each drop didn't begin the time limit again"


async def test_a_name_server_that_hangs_is_cut_at_the_timeout() -> None:
    class Hanging(FakeResolver):
        async def resolve(self, *_: object, **__: object) -> list[ResolveResult]:
            await asyncio.sleep(60)
            return []

    assert (await post("http://slow.example/", Hanging(), seconds=0.3)).failure == "timeout"


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (b"", "connection"),
        (b"HTTP/1.1 two hundred\r\n\r\n", "protocol"),
        (b"SSH-2.0-OpenSSH\r\n", "protocol"),
        (b"HTTP/1.1 20\r\n\r\n", "protocol"),
    ],
)
async def test_answers_that_are_none(answer: bytes, failure: str) -> None:
    async with raw_server(answer) as url:
        assert (await post(url)).failure == failure


async def test_a_compressed_body_is_not_unpacked() -> None:
    bomb = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 9\r\n\r\nnot gzip!"
    async with raw_server(bomb) as url:
        assert await post(url) == Reply(200, excerpt=b"not gzip!")


async def test_nobody_listening_no_such_name_and_no_tls_are_distinguished() -> None:
    async with receiver() as crm:
        port = crm.port
        assert (await post(f"https://127.0.0.1:{port}/")).failure == "tls"
    assert (await post(f"http://127.0.0.1:{port}/")).failure == "connection"
    assert (await post("http://no-such-name.invalid/")).failure == "name"
