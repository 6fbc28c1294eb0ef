"""Heads of requests that don't come, never end, or aren't HTTP, sent over a bare socket."""

import asyncio
import contextlib
import itertools
import json
import socket
import time

import pytest
from fastapi import FastAPI, Response

from service.api.middleware import bounded_protocol
from tests.support.api import Api, serving
from tests.support.cloud_events import usage
from tests.support.service import settings_for

pytestmark = pytest.mark.anyio

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
GET = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"


async def connect(api: Api) -> Streams:
    host, port = api.url.removeprefix("http://").split(":")
    return await asyncio.open_connection(host, int(port))


async def all_of(streams: Streams, seconds: float = 5.0) -> bytes:
    """Everything up to the end of the connection, which has to come."""
    reader, writer = streams
    try:
        return await asyncio.wait_for(reader.read(-1), seconds)
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def exchange(api: Api, *parts: bytes) -> bytes:
    streams = await connect(api)
    with contextlib.suppress(ConnectionError):  # it may be refused before it is whole
        for part in parts:
            streams[1].write(part)
            await streams[1].drain()
    return await all_of(streams)


def assert_refused(answer: bytes, status: int) -> None:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), answer[:200]
    assert b"content-type: application/problem+json" in head
    problem = json.loads(body)
    assert (problem["status"], problem["type"]) == (status, "about:blank")
    assert problem["title"]
    assert problem["detail"]


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",  # TLS
        b"nonsense\r\n\r\n",
        b"GET /livez HTTP/9.9\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET /li\x00vez HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nX: a\x00b\r\n\r\n",
        b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n",
        b"GET http://[::1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_refused_as_a_problem(api: Api, sent: bytes) -> None:
    assert_refused(await exchange(api, sent), 400)
    assert (await api.get("/livez", key=None)).status == 200


async def test_heads_that_are_too_long(api: Api) -> None:
    most = bounded_protocol.MOST_HEAD_BYTES
    for parts in (
        (b"GET /" + b"a" * (most + 1) + b" HTTP/1.1\r\n\r\n",),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * (most + 1) + b"\r\n\r\n",),
        (b"GET / HTTP/1.1\r\n", *[b"X: aaaaaaaa\r\n" * 1000] * 8, b"\r\n"),
        (b"GET / HTTP/1.1\r\nX: ", *[b"a" * 50_000] * 12),  # a line without an end
        (b"GET /", *[b"a" * 50_000] * 12),
    ):
        assert_refused(await exchange(api, *parts), 431)


async def test_a_long_head_within_bounds_is_taken(api: Api) -> None:
    query = "x" * (bounded_protocol.MOST_HEAD_BYTES - 5_000)
    assert (await api.get(f"/livez?{query}", key=None)).status == 200


async def test_trailers_without_end_are_cut(api: Api) -> None:
    head = f"POST /v1/alert-rules HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api.key}\r\n".encode()
    head += b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
    await exchange(api, head, *[b"X: aaaaaaaa\r\n" * 1000] * 10)


async def test_a_head_that_doesn_t_come_in_time(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_protocol, "HEAD_SECONDS", 0.3)
    for sent in (b"G", b"GET /livez HT", b"GET /livez HTTP/1.1\r\nHost: x\r\n"):
        assert_refused(await exchange(api, sent), 408)
    assert await exchange(api) == b"", "who says nothing is told nothing"


async def test_a_head_that_trickles_is_not_waited_for(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_protocol, "HEAD_SECONDS", 0.4)
    for first in (b"", GET):  # on a new connection, and on one that was used
        reader, writer = await connect(api)
        if first:
            writer.write(first)
            await reader.readuntil(b"}")
        ended = asyncio.create_task(reader.read(-1))
        for byte in b"GET /" + b"a" * 400:
            writer.write(bytes([byte]))
            await asyncio.sleep(0.05)
            if ended.done():
                break
        else:
            pytest.fail(f"the whole head was waited for, after {first!r}")
        assert_refused(await ended, 408)
        writer.close()


async def test_connections_are_kept_and_used_again(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_protocol, "HEAD_SECONDS", 0.3)
    reader, writer = await connect(api)
    for pause in (0.0, 0.2, 0.4):
        await asyncio.sleep(pause)
        writer.write(GET)
        assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200")
    writer.write(GET * 3)
    for _ in range(3):
        assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200")
    writer.close()


async def test_a_body_shorter_or_longer_than_it_says(api: Api) -> None:
    head = f"POST /v1/alert-rules HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api.key}\r\n"
    head += "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n"
    answer = await exchange(api, head.encode() + b"{}GARBAGE\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 422 ")
    assert answer.count(b"HTTP/1.1") == 1
    chunked = head.replace("Content-Length: 2", "Transfer-Encoding: chunked").encode()
    assert_refused(await exchange(api, chunked + b"2\r\n{}\r\nno length\r\n"), 400)


async def test_an_upgrade_is_not_made(api: Api) -> None:
    head = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    reader, writer = await connect(api)
    writer.write(head)
    assert (await asyncio.wait_for(reader.readuntil(b"}"), 5)).startswith(b"HTTP/1.1 200")
    writer.close()


def head_of(api: Api, *headers: str, path: str = "/v1/events") -> bytes:
    """A POST up to its body."""
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {api.key}", "Content-Type: application/json"]
    return "\r\n".join([*lines, *headers, "", ""]).encode()


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The server's own log lines, except that a request wasn't HTTP."""
    texts = [record.getMessage() for record in caplog.records if record.name in ("uvicorn.error", "asyncio")]
    return [text for text in texts if text != "Invalid HTTP request received."]


@pytest.mark.parametrize("asks_for", ["websocket", "h2c", "TLS/1.0", "foo/2"])
async def test_who_asks_for_another_protocol_is_answered_in_this_one(
    api: Api, caplog: pytest.LogCaptureFixture, asks_for: str
) -> None:
    """Answered with the body; nothing is logged, in particular not that a library is missing."""
    event = json.dumps(usage("acme")).encode()
    upgrade = ("Connection: Upgrade, HTTP2-Settings", f"UPGRADE: {asks_for}", "HTTP2-Settings: AAMAAABk")
    head = head_of(api, *upgrade, f"Content-Length: {len(event)}")
    for parts in ((head + event,), (head, event[:7], event[7:])):
        api.publisher.records.clear()
        streams = await connect(api)
        for part in parts:
            streams[1].write(part)
            await asyncio.sleep(0.05)
        assert (await asyncio.wait_for(streams[0].readuntil(b"}"), 5)).startswith(b"HTTP/1.1 202 ")
        assert [value for _, _, value in api.publisher.records] == [event]
        streams[1].write(GET.replace(b"Host", b"Connection: upgrade\r\nUpgrade: websocket\r\nHost") + GET)
        for _ in range(2):
            assert (await asyncio.wait_for(streams[0].readuntil(b"}"), 5)).startswith(b"HTTP/1.1 200")
        streams[1].close()
    assert logged(caplog) == []


async def test_a_head_may_be_cut_anywhere(api: Api) -> None:
    """Also for a request for another protocol, or for a head that is cut within its end."""
    event = json.dumps(usage("acme")).encode()
    head = head_of(api, "Connection: close, upgrade", "Upgrade: h2c", f"Content-Length: {len(event)}")

    async def cut_at(*places: int) -> bytes:
        streams = await connect(api)
        for start, end in itertools.pairwise((0, *places, None)):
            streams[1].write((head + event)[start:end])
            await asyncio.sleep(0.02)
        return await all_of(streams)

    around = range(head.index(b"close"), len(head) + 2)
    cuts = [(place,) for place in (1, *around)] + [(place, place + 1, place + 2) for place in around]
    for answer in await asyncio.gather(*itertools.starmap(cut_at, cuts)):
        assert answer.startswith(b"HTTP/1.1 202 "), answer
    assert [value for _, _, value in api.publisher.records] == [event] * len(cuts)


async def test_connect_is_refused_without_advice(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    assert_refused(await exchange(api, b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n"), 400)
    reader, writer = await connect(api)
    writer.write(b"CONNECT /livez HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b" 405 " in await asyncio.wait_for(reader.readline(), 5)
    writer.close()
    assert logged(caplog) == []


@pytest.mark.parametrize("coding", ["gzip", "identity", "gzip, chunked", "chunked, chunked", "x", "GZIP,Chunked", ""])
async def test_another_transfer_encoding_is_not_taken(api: Api, coding: str) -> None:
    for rest in (b"", b"2\r\n{}\r\n0\r\n\r\n"):
        answer = await exchange(api, head_of(api, f"Transfer-Encoding: {coding}") + rest)
        assert_refused(answer, 501 if b" 501 " in answer[:20] else 400)
    twice = head_of(api, "Transfer-Encoding: gzip", "Transfer-Encoding: chunked")
    assert_refused(await exchange(api, twice + b"2\r\n{}\r\n0\r\n\r\n"), 501)
    assert api.publisher.records == []


@pytest.mark.parametrize(
    "chunks", [b"zz\r\n", b"2\r\n{}\r\nno length\r\n", b"2\r\n{}x\r\n", b"f" * 40 + b"\r\n", b"-1\r\n{"]
)
async def test_a_broken_chunk_is_reported(api: Api, caplog: pytest.LogCaptureFixture, chunks: bytes) -> None:
    head = head_of(api, "Transfer-Encoding: chunked")
    streams = await connect(api)
    streams[1].write(head)
    await asyncio.sleep(0.1)  # the request is under way when it breaks
    streams[1].write(chunks)
    assert_refused(await all_of(streams), 400)
    assert_refused(await exchange(api, head + chunks), 400)
    assert logged(caplog) == []
    assert api.publisher.records == []


async def test_a_broken_chunk_after_an_early_answer_is_no_second_answer(api: Api) -> None:
    streams = await connect(api)
    streams[1].write(head_of(api, "Transfer-Encoding: chunked").replace(b"Bearer ", b"Bearer x"))
    assert b" 401 " in await streams[0].readline()
    await streams[0].readuntil(b"}")
    streams[1].write(b"zz\r\n")
    assert await all_of(streams) == b""


async def test_a_body_beyond_the_limit_is_not_asked_for(api: Api) -> None:
    """A caller that waits for a 100 gets a 413, and sends nothing."""
    expects = head_of(api, "Expect: 100-continue", "Content-Length: 99999999")
    answer = await exchange(api, expects)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"100 Continue" not in answer
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["status"] == 413
    streams = await connect(api)
    streams[1].write(head_of(api, "Expect: 100-continue", "Content-Length: 2"))
    assert (await streams[0].readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
    streams[1].write(b"{}")
    assert (await streams[0].readline()).startswith(b"HTTP/1.1 422 ")
    streams[1].close()


async def test_a_process_that_stops_does_not_wait_for_who_takes_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor does it log a traceback of the connection that it cut."""
    monkeypatch.setattr(bounded_protocol, "STOP_SECONDS", 0.3)
    app = FastAPI()
    app.add_api_route("/long", lambda: Response(b"x" * 20_000_000))
    began = 0.0
    with socket.socket() as caller:
        async with serving(app, settings_for("postgresql://unused", "127.0.0.1:1", "")) as url:
            host, port = url.removeprefix("http://").split(":")
            loop = asyncio.get_running_loop()
            caller.setblocking(False)
            await loop.sock_connect(caller, (host, int(port)))
            await loop.sock_sendall(caller, b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
            await asyncio.sleep(0.5)
            began = time.monotonic()
        assert time.monotonic() - began < 30
    assert logged(caplog) == []


async def test_a_body_that_was_answered_early_is_still_taken(api: Api) -> None:
    """Clients read answers when they have sent all of a request: cut short before, they would never see this one."""
    head = b"POST /v1/alert-rules HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"
    reader, writer = await connect(api)
    writer.write(head)
    assert b" 401 " in await reader.readline()
    await reader.readuntil(b"}")
    for _ in range(10):
        writer.write(b"x" * 100_000)
        await writer.drain()
        await asyncio.sleep(0.01)
    writer.write(GET)
    assert (await asyncio.wait_for(reader.readuntil(b"}"), 5)).startswith(b"HTTP/1.1 200")
    writer.close()


async def test_a_body_that_was_answered_early_may_not_trickle(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_protocol, "HEAD_SECONDS", 0.4)
    reader, writer = await connect(api)
    writer.write(b"POST /v1/alert-rules HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
    ended = asyncio.create_task(reader.read(-1))
    began = time.monotonic()
    while not ended.done() and time.monotonic() - began < 5:
        writer.write(b"x")
        await asyncio.sleep(0.05)
    assert time.monotonic() - began < 2
    assert (await ended).count(b"HTTP/1.1") == 1
    writer.close()


@pytest.mark.parametrize("rest", [b"x" * 1000, b"x" * 1000 + b"\r\n"])
async def test_what_comes_after_an_early_answer_keeps_no_connection(
    api: Api, monkeypatch: pytest.MonkeyPatch, rest: bytes
) -> None:
    monkeypatch.setattr(bounded_protocol, "HEAD_SECONDS", 0.4)
    reader, writer = await connect(api)
    writer.write(b"POST /v1/alert-rules HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
    assert b" 401 " in await reader.readline()
    await reader.readuntil(b"}")
    writer.write(rest)
    await asyncio.wait_for(reader.read(-1), 8)
    writer.close()


async def test_an_empty_line_is_no_request(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_protocol, "HEAD_SECONDS", 0.4)
    reader, writer = await connect(api)
    writer.write(GET)
    await asyncio.wait_for(reader.readuntil(b"}"), 5)
    writer.write(b"\r\n")
    await asyncio.wait_for(reader.read(-1), 8)
    writer.close()


async def test_the_end_of_a_connection_is_taken_or_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest is too short for uvicorn to pause, so it closes the connection itself."""
    monkeypatch.setattr(bounded_protocol, "TAKE_SECONDS", 0.3)
    monkeypatch.setattr(bounded_protocol.BoundedProtocol, "pause_writing", lambda _: None)
    app = FastAPI()
    cut = asyncio.Event()
    app.add_api_route("/long", lambda: Response(b"x" * 20_000_000))
    monkeypatch.setattr(bounded_protocol.BoundedProtocol, "connection_lost", lambda *_: cut.set())
    async with serving(app, settings_for("postgresql://unused", "127.0.0.1:1", "")) as url:
        host, port = url.removeprefix("http://").split(":")
        loop = asyncio.get_running_loop()
        with socket.socket() as caller:
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            caller.setblocking(False)
            await loop.sock_connect(caller, (host, int(port)))
            await loop.sock_sendall(caller, b"GET /long HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            await asyncio.wait_for(cut.wait(), 8)


async def test_an_answer_that_nobody_takes_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_protocol, "TAKE_SECONDS", 0.3)
    cut, lose = asyncio.Event(), bounded_protocol.BoundedProtocol.connection_lost

    def lost(self: bounded_protocol.BoundedProtocol, why: Exception | None) -> None:
        cut.set()
        lose(self, why)

    monkeypatch.setattr(bounded_protocol.BoundedProtocol, "connection_lost", lost)
    app = FastAPI()
    whole = 50_000_000
    app.add_api_route("/long", lambda: Response(b"x" * whole))
    settings = settings_for("postgresql://unused", "127.0.0.1:1", "")
    async with serving(app, settings) as url, asyncio.timeout(10):
        host, port = url.removeprefix("http://").split(":")
        loop = asyncio.get_running_loop()
        with socket.socket() as caller:
            caller.setblocking(False)
            await loop.sock_connect(caller, (host, int(port)))
            await loop.sock_sendall(caller, b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n")
            await cut.wait()
            taken = 0
            with contextlib.suppress(ConnectionResetError):
                while part := await loop.sock_recv(caller, 1_000_000):
                    taken += len(part)
            assert taken < whole
