"""A receiver's answer, and the verdict on the message: taken, again, never, or not now."""

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
"""Refusals of a message's size or format, which a further attempt wouldn't change."""


@dataclass(frozen=True, slots=True)
class ReceiverAnswer:
    """A status with the part of the rest that was read; header names are in lower case."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def text(self) -> str:
        """The body as text, whatever its bytes."""
        return self.body.decode("utf-8", "replace").strip()

    @property
    def is_page(self) -> bool:
        """True if it is a page for people, as proxies and sign-in forms send instead of the expected answer."""
        return self.headers.get("content-type", "").lower().startswith("text/html") or self.body.lstrip()[
            :1
        ].startswith(b"<")


@dataclass(frozen=True, slots=True)
class AnswerVerdict:
    """The fate of a message, with the reason in words if the status doesn't tell it.

    `taken`: the receiver has it. `again`: it failed, and may succeed later. `never`: it fails whenever it is sent.
    `gone`: nothing will ever be taken there. `limited`: nothing is taken now, which says nothing about the message.
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
    """The verdict on an answer by its status alone, if a target has no rule of its own."""
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
