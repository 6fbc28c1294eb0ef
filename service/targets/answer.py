"""What a receiver answered, and what that means for a message: taken, again, never, or not now."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Literal

VerdictKind = Literal["taken", "again", "never", "gone", "limited"]

HOPELESS = frozenset(
    {
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.REQUEST_URI_TOO_LONG,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    }
)
"""Refusals of a message's size or form, neither of which a further attempt would change."""


@dataclass(frozen=True, slots=True)
class ReceiverAnswer:
    """A status with what was read of the rest; header names are in lower case."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def text(self) -> str:
        """The body as text, whatever its bytes are."""
        return self.body.decode("utf-8", "replace").strip()

    @property
    def is_page(self) -> bool:
        """Whether it is a page for people, as proxies and sign-in forms send in place of what was asked."""
        return self.headers.get("content-type", "").lower().startswith("text/html") or self.body.lstrip()[
            :1
        ].startswith(b"<")


@dataclass(frozen=True, slots=True)
class AnswerVerdict:
    """What becomes of a message, with the reason in words where the status doesn't say it.

    `taken`: it is the receiver's own. `again`: it failed, and may pass later. `never`: it won't, whenever it is sent.
    `gone`: nothing will ever be taken there. `limited`: nothing is taken now, which says nothing of the message.
    """

    kind: VerdictKind
    reason: str | None = None


TAKEN, AGAIN, NEVER, GONE, LIMITED = (
    AnswerVerdict("taken"),
    AnswerVerdict("again"),
    AnswerVerdict("never"),
    AnswerVerdict("gone"),
    AnswerVerdict("limited"),
)


def plain_verdict(answer: ReceiverAnswer) -> AnswerVerdict:
    """What an answer means where a target knows no better: its status alone counts."""
    if HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
        return TAKEN
    match answer.status:
        case HTTPStatus.GONE:
            return GONE
        case HTTPStatus.TOO_MANY_REQUESTS:
            return LIMITED
        case HTTPStatus.SERVICE_UNAVAILABLE if "retry-after" in answer.headers:
            return LIMITED
        case status if status in HOPELESS:
            return NEVER
        case _:
            return AGAIN
