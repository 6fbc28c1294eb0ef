"""The interface of a target: how it writes a message, which options it needs, and when a message counts as received."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from msgspec import Struct

from service.runtime.target_kinds import Scope
from service.targets.answer import AnswerVerdict, ReceiverAnswer
from service.targets.message import Body, Message, NoOptions


@dataclass(frozen=True, slots=True)
class Credentials:
    """The credentials that a token is fetched with, by OAuth 2.0 client credentials (RFC 6749, section 4.4)."""

    token_url: str
    client_id: str
    client_secret: str = field(repr=False)


def accept_any(_status: int, _excerpt: bytes) -> str | None:
    """Accept any 2xx answer."""
    return None


def usual_verdict(_answer: ReceiverAnswer) -> AnswerVerdict | None:
    """Give no answer a special meaning."""
    return None


@dataclass(frozen=True, slots=True)
class Target:
    """One format in which messages are sent.

    - `build` gets the message and an instance of `options`.
    - `refusal` reads the body of a 2xx answer, and returns the reason if the message was refused all the same, or None.
    - `verdict` reads any answer before that, and returns its meaning here, or None if it has the usual one.
    - `rate` is the number of messages per second that the receiver takes, for endpoints without a limit of their own.
    - `credentials`, made from the options, fetch the bearer token for requests, if the target needs one.
    - `coalesced` messages are a state, not a story: of several about an account, or about an incident (a rule and an
      account), only the newest has to arrive, and none that is older may arrive after it.
    - `accounts_only` targets get only messages about a single account, no digests or notices.
    - `for_people` targets are read by people, who learn in the digest alone what ends for many accounts at once.
    - `transport` is what carries the messages, and so decides the form of an endpoint's URL.
    """

    build: Callable[[Message, Any], Body]
    options: type[Struct] = NoOptions
    refusal: Callable[[int, bytes], str | None] = accept_any
    verdict: Callable[[ReceiverAnswer], AnswerVerdict | None] = usual_verdict
    credentials: Callable[[Any], Credentials] | None = None
    rate: float | None = None
    coalesced: Scope | None = None
    accounts_only: bool = False
    for_people: bool = False
    transport: Literal["http", "kafka"] = "http"
