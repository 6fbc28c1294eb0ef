"""What a target is: how it writes a message, what it has to be told, and when it counts as received."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from msgspec import Struct

from service.runtime.target_kinds import Scope
from service.targets.answer import AnswerVerdict, ReceiverAnswer
from service.targets.message import Body, Message, NoOptions


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a token is fetched with: OAuth 2.0, grant type client credentials (RFC 6749, section 4.4)."""

    token_url: str
    client_id: str
    client_secret: str = field(repr=False)


def accept_any(_status: int, _excerpt: bytes) -> str | None:
    """Any 2xx answer says that the message was received."""
    return None


def usual_verdict(_answer: ReceiverAnswer) -> AnswerVerdict | None:
    """No answer means anything of its own."""
    return None


@dataclass(frozen=True, slots=True)
class Target:
    """One form in which messages are sent. `build` gets the message and an instance of `options`.

    `refusal` reads the body of a 2xx answer, and says why the message was refused all the same, or None.
    `verdict` reads any answer before that, and says what it means there, or None if that is what it means elsewhere.
    `rate` is how many messages a second the receiver takes, for endpoints that are given no limit of their own.
    `credentials`, made from the options, fetch the bearer token that requests carry, if the target wants one.
    `coalesced` messages are a state, not a story: of several of an account, or of an incident, which is a rule and an
    account, only the newest has to arrive, and none that is older may arrive after it.
    `accounts_only` targets are not sent what is about no single account: digests and notices.
    `for_people` targets are read by people: what ends for many accounts at once they hear of in the digest alone.
    `transport` is what carries the messages, and so what the URL of an endpoint has to look like.
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
