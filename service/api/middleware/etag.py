"""ETags: every successful answer to GET carries one, and `If-None-Match` saves sending it again."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from xxhash import xxh3_128_hexdigest

from service.api.http.headers import values_of

_OF_BODIES = (b"content-length", b"content-type")


class ConditionalRequests:
    """Hashes an answer's body as it goes out, or answers 304 in its place."""

    def __init__(self, app: ASGIApp) -> None:
        """`app` is the rest of the service."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http" and scope["method"] == "GET":
            send = _Tagged(", ".join(values_of(scope, b"if-none-match")), send)
        await self._app(scope, receive, send)


class _Tagged:
    """A `send` that holds back an answer until its body is known, if that comes in one piece."""

    def __init__(self, if_none_match: str, send: Send) -> None:
        self._if_none_match = if_none_match
        self._send = send
        self._start: Message | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 200:
            self._start = message
            return
        if self._start is not None:
            start, self._start = self._start, None
            if not message.get("more_body"):
                self._tag(start, message)
            await self._send(start)
        await self._send(message)

    def _tag(self, start: Message, body: Message) -> None:
        tag = tag_of(body["body"])
        start["headers"] = [*start["headers"], (b"etag", tag.encode())]
        if self._if_none_match and matches(self._if_none_match, tag):
            start["status"] = 304
            start["headers"] = [header for header in start["headers"] if header[0] not in _OF_BODIES]
            body["body"] = b""


def tag_of(body: bytes) -> str:
    """The ETag of an answer."""
    return f'"{xxh3_128_hexdigest(body)}"'


def matches(if_none_match: str, tag: str) -> bool:
    """True if the header `If-None-Match` names a tag.

    Weak comparison, as RFC 9110 wants it here; proxies that compress make our tags weak.
    """
    given = [each.strip().removeprefix("W/") for each in if_none_match.split(",")]
    return tag in given or given == ["*"]
