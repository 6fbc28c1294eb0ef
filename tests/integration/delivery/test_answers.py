"""Answers of receivers, good and bad: a status counts once it was read, and people are shown the rest."""

import asyncio
import gzip
import socket
import ssl
import threading
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncEngine

from service.delivery.attempt import AttemptOutcome
from service.delivery.retry import GaveUp, RetryPolicy, Succeeded
from service.delivery.transport.dns import Resolver
from service.delivery.transport.http import KEEP_BYTES, READ_BYTES, Reply, Request, open_session, send
from service.delivery.transport.tls import ssl_context
from service.runtime.errors import HealthError
from service.storage.webhooks import delivery_log, endpoints
from service.storage.webhooks.delivery_log import LoggedAttempt
from tests.integration.delivery.test_delivery_transport import FakeResolver, post, raw_server
from tests.support.certificates import Authority, Signed
from tests.support.webhooks import (
    add_alert,
    add_endpoint,
    answers,
    local_settings,
    receiver,
    states,
    until,
    working,
)

pytestmark = pytest.mark.anyio


async def last_attempt(engine: AsyncEngine, outcome: AttemptOutcome) -> LoggedAttempt:
    async with engine.connect() as conn:
        [made, *_] = await delivery_log.attempts(conn, outcome.delivery.id, limit=1)
    return made


# --- Heads that are not as they should be ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "head",
    [
        b"X: " + b"a" * 100_000,
        b"X-\xff\xfe: \x00\x01",
        b"\x00\x01\x02",
        b"no colon",
        b"Content-Length: 2\r\nContent-Length: 3",
        b"Content-Length: 2\r\nTransfer-Encoding: chunked",
        b"Content-Length: many",
        b"Content-Length: -1",
        b"Transfer-Encoding: chunked, chunked",
        b"Folded: one\r\n two",
        b" Starts: with a blank",
        b"Set-Cookie: \xe2\x98\x83=\xff; expires=never",
        b"X: " + b"\r\nX: ".join([b"1"] * 500),
        b": no name",
        b"X : blank before the colon",
        b"X: a\rb",
        b"Connection: upgrade\r\nUpgrade: \x00",
        b"Content-Encoding: gzip, \xff",
    ],
)
async def test_a_receiver_that_took_the_message_has_taken_it_whatever_its_headers_are(head: bytes) -> None:
    async with raw_server(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\nok") as url:
        reply = await post(url)
    assert (reply.status, reply.failure) == (200, None)


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: x\r\n\r\n", 201),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n\x01: 1\r\n\r\n", 200),
        (b"HTTP/1.0 200\r\n\x01: 1\r\n\r\n", 200),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: x\r\n\r\n", 404),
        (b"HTTP/1.1 204 No Content\r\nX: y", 204),
    ],
)
async def test_the_status_of_the_final_answer_counts(answer: bytes, status: int) -> None:
    async with raw_server(answer) as url:
        assert (await post(url)).status == status


async def test_what_can_be_read_beside_odd_headers_is(engine: AsyncEngine) -> None:
    head = b"HTTP/1.1 429 Slow\r\nContent-Length: x\r\nRetry-After: 120\r\n\r\nslower please"
    async with raw_server(head) as url:
        await add_endpoint(engine, url)
        await add_alert(engine, "acme")
        async with working(engine, local_settings()) as outcomes:
            await until(lambda: outcomes)
    assert outcomes[0].limited
    made = await last_attempt(engine, outcomes[0])
    assert (made.status, made.response) == (429, "slower please")
    assert made.error == "the status was read, and what follows it is not valid HTTP"


async def test_an_answer_whose_status_line_did_not_come_to_its_end_is_none() -> None:
    async with raw_server(b"HTTP/1.1 200 O") as url:
        reply = await post(url)
    assert (reply.status, reply.failure) == (None, "connection")


async def test_a_connection_with_an_odd_answer_is_not_used_again_and_the_next_answer_is_its_own() -> None:
    odd = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 1\r\n\r\n"
    opened = open_session(local_settings().webhook_allow_networks, Resolver(2))
    async with raw_server(odd) as url, receiver(answers(500)) as well, opened as session:
        for _ in range(3):
            assert (await send(session, Request(url, {}, b"{}"), 5)).status == 200
            assert (await send(session, Request(well.url, {}, b"{}"), 5)).status == 500


# --- Redirects, and bodies -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://new.example/hook?a=1", "redirect to https://new.example/hook?a=1, and redirects are not followed"),
        ("/other", "redirect to /other, and"),
        ("", "the answer is a redirect, and redirects are not followed"),
        ("https://x/" + "y" * 3000, "yyy, and redirects are not followed"),
    ],
)
async def test_a_redirect_says_where_it_leads_and_that_it_is_not_followed(
    engine: AsyncEngine, location: str, shown: str
) -> None:
    async def moved(_: web.Request) -> web.StreamResponse:
        return web.Response(status=308, headers={"Location": location} if location else {})

    async with receiver(moved) as crm:
        await add_endpoint(engine, crm.url)
        await add_alert(engine, "acme")
        async with working(engine, local_settings()) as outcomes:
            await until(lambda: outcomes)
    made = await last_attempt(engine, outcomes[0])
    assert made.status == 308
    assert shown in (made.error or "")
    assert len(made.error or "") <= 500


def bare(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(b"unknown property", mtime=0)),
        ("X-GZIP", gzip.compress(b"unknown property", mtime=0)),
        ("deflate", zlib.compress(b"unknown property")),
        ("deflate", bare(b"unknown property")),
        ("br", b"unknown property"),
        ("identity", b"unknown property"),
    ],
)
async def test_what_is_compressed_is_shown_unpacked(encoding: str, body: bytes) -> None:
    head = f"HTTP/1.1 400 Bad\r\nContent-Encoding: {encoding}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    async with raw_server(head + body) as url:
        assert (await post(url)).excerpt == b"unknown property"


async def test_a_bomb_is_unpacked_as_far_as_it_is_shown() -> None:
    bomb = gzip.compress(b"x" * 50_000_000)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n".encode()
    async with raw_server(head + bomb) as url:
        reply = await post(url)
    assert reply.excerpt == b"x" * KEEP_BYTES
    assert len(reply.body) == READ_BYTES


async def test_slack_that_compresses_its_ok_has_taken_the_message(engine: AsyncEngine) -> None:
    async def packed(_: web.Request) -> web.StreamResponse:
        return web.Response(body=gzip.compress(b"ok"), headers={"Content-Encoding": "gzip"})

    async with receiver(packed) as slack:
        await add_endpoint(engine, slack.url, target="slack")
        await add_alert(engine, "acme")
        async with working(engine, local_settings()) as outcomes:
            await until(lambda: outcomes)
    assert outcomes[0].outcome == Succeeded()


@pytest.mark.parametrize("status", [413, 414, 415, 431])
async def test_a_refusal_that_no_attempt_would_change_ends_the_delivery(engine: AsyncEngine, status: int) -> None:
    async with receiver(answers(status)) as crm:
        await add_endpoint(engine, crm.url)
        await add_alert(engine, "acme")
        async with working(engine, local_settings()) as outcomes:
            await until(lambda: outcomes)
    assert outcomes[0].outcome == GaveUp("refused")
    assert await states(engine) == ["failed"]


# --- TLS -------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def secure(signed: Signed, **options: Any) -> AsyncIterator[int]:
    """A receiver that speaks TLS with this certificate while the block runs; its port.

    It reads and writes as blocking servers do: asyncio's own end a handshake that failed without saying why.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*signed)
    for name, value in options.items():
        setattr(context, name, value)
    listening = socket.create_server(("127.0.0.1", 0))

    def take() -> None:
        with suppress(OSError):
            plain = listening.accept()[0]
            plain.settimeout(5)
            with context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False) as spoken:
                try:
                    spoken.do_handshake()
                except ssl.SSLError:
                    hear_out(socket.socket(fileno=spoken.detach()))
                    return
                spoken.recv(65_536)
                spoken.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    with listening:
        yield listening.getsockname()[1]
        await asyncio.to_thread(thread.join, 5)


def hear_out(plain: socket.socket) -> None:
    """Read what a client still sends after a failed handshake, so that no reset overtakes the alert that says why."""
    with plain:
        plain.shutdown(socket.SHUT_WR)
        while plain.recv(65_536):
            pass


async def reach(port: int, ca_file: Path | str = "", host: str = "crm.example") -> Reply:
    resolver = FakeResolver(["127.0.0.1"])
    async with open_session(local_settings().webhook_allow_networks, resolver, str(ca_file)) as session:
        return await send(session, Request(f"https://{host}:{port}/", {}, b"{}"), 5)


async def test_a_private_authority_is_trusted_beside_the_others_once_it_is_given(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "private")
    signed = authority.sign("crm", "crm.example")
    async with secure(signed) as port:
        assert (await reach(port, authority.file)).status == 204
    async with secure(signed) as port:
        unknown = await reach(port)
    assert unknown.failure == "tls"
    assert "the authority that signed its certificate is not known" in (unknown.error or "")
    assert "HEALTH_WEBHOOK_CA_FILE" in (unknown.error or "")
    trusted = ssl_context(str(authority.file))
    assert isinstance(trusted, ssl.SSLContext)
    assert trusted.cert_store_stats()["x509_ca"] > ssl.create_default_context().cert_store_stats()["x509_ca"]


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
async def test_failures_of_tls_are_distinguished(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "private")
    good, ca = authority.sign("crm", "crm.example"), authority.file
    expired = authority.sign("old", "crm.example", until=datetime.now(UTC) - timedelta(minutes=1))
    early = authority.sign(
        "new", "crm.example", since=datetime.now(UTC) + timedelta(hours=1), until=datetime.now(UTC) + timedelta(hours=2)
    )
    cases: tuple[tuple[Signed, dict[str, Any], Path | str, str], ...] = (
        (expired, {}, ca, "its certificate has expired"),
        (early, {}, ca, "its certificate is not valid yet"),
        (authority.sign("other", "other.example"), {}, ca, "for another name than the URL's host"),
        (authority.itself("crm.example"), {}, "", "its certificate is self-signed"),
        (good, {"maximum_version": ssl.TLSVersion.TLSv1_1}, ca, "it must be 1.2 or later"),
        (good, {"verify_mode": ssl.CERT_REQUIRED}, ca, "it requires a client certificate"),
    )
    for signed, options, trusted, said in cases:
        async with secure(signed, **options) as port:
            reply = await reach(port, trusted)
        assert (reply.status, reply.failure) == (None, "tls"), said
        assert said in (reply.error or ""), reply.error


async def test_plain_http_at_an_https_url_is_said_to_be_that() -> None:
    async with receiver() as plain:
        reply = await post(f"https://127.0.0.1:{plain.port}/")
    assert (reply.failure, reply.error) == (
        "tls",
        "no TLS connection: the server there does not speak TLS: it may be plain HTTP",
    )


def test_a_file_of_authorities_that_cannot_be_read_is_named_with_its_setting(tmp_path: Path) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    for file in (broken, tmp_path / "absent.pem"):
        with pytest.raises(HealthError, match="HEALTH_WEBHOOK_CA_FILE"):
            ssl_context(str(file))


# --- Chat ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "word", "given_up"),
    [
        (400, "invalid_payload", True),
        (403, "action_prohibited", True),
        (404, "channel_not_found", True),
        (404, "no_service", True),
        (410, "channel_is_archived", False),
        (500, "rollup_error", False),
        (404, "<html>", False),
    ],
)
async def test_slack_is_understood(engine: AsyncEngine, status: int, word: str, given_up: bool) -> None:
    async def say(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=word)

    async with receiver(say) as slack:
        endpoint = await add_endpoint(engine, slack.url, target="slack")
        await add_alert(engine, "acme")
        async with working(engine, local_settings(), policy=RetryPolicy((timedelta(hours=1),))) as outcomes:
            await until(lambda: outcomes)
    assert (outcomes[0].outcome == GaveUp("refused")) is given_up
    assert await states(engine) == ["failed" if given_up else "pending"]
    async with engine.connect() as conn:
        found = await endpoints.get(conn, endpoint)
    assert found is not None
    assert found.enabled
    assert found.failing_since is not None


@pytest.mark.parametrize(
    ("body", "limited", "failure"),
    [
        ("1", False, None),
        ("", False, None),
        (
            "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429",
            True,
            "refused",
        ),
        (
            "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 403",
            False,
            "refused",
        ),
        ("<html>Sign in</html>", False, "refused"),
    ],
)
async def test_teams_is_understood(engine: AsyncEngine, body: str, limited: bool, failure: str | None) -> None:
    async def say(_: web.Request) -> web.StreamResponse:
        return web.Response(text=body)

    async with receiver(say) as teams:
        await add_endpoint(engine, teams.url, target="teams")
        await add_alert(engine, "acme")
        async with working(engine, local_settings(), policy=RetryPolicy((timedelta(hours=1),))) as outcomes:
            await until(lambda: outcomes)
    assert (outcomes[0].limited, outcomes[0].failure) == (limited, failure)
