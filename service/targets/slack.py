"""The target `slack`: a message in Block Kit for an incoming webhook of Slack, or of a compatible service.

Limits: https://docs.slack.dev/reference/block-kit. Slack refuses the whole message if a single text is too long.
"""

from http import HTTPStatus
from typing import Any

import msgspec

from service.targets.answer import AGAIN, AnswerVerdict, ReceiverAnswer
from service.targets.message import Body, Message, NoOptions
from service.targets.plain_text import PlainText, to_plain_text
from service.targets.target import Target

LONGEST_HEADER = 150
LONGEST_SECTION = 3000
LONGEST_FIELD = 2000
MOST_FIELDS = 10

NEVER = frozenset(
    {
        "action_prohibited",
        "channel_not_found",
        "invalid_blocks",
        "invalid_blocks_format",
        "invalid_payload",
        "invalid_token",
        "missing_text_or_fallback_or_attachments",
        "msg_too_long",
        "no_active_hooks",
        "no_service",
        "no_service_id",
        "no_team",
        "no_text",
        "posting_to_general_channel_denied",
        "team_disabled",
        "too_many_attachments",
        "user_not_found",
    }
)
"""Refusals that no attempt would change: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks"""
_ARCHIVED = "channel_is_archived"

_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_IN_LINKS = str.maketrans({**_ESCAPES, "|": "%7C"})


def build(message: Message, _options: NoOptions) -> Body:
    """`text` for notifications and screen readers, `blocks` for the eye."""
    words = to_plain_text(message)
    return Body(msgspec.json.encode({"text": _fit(words.text, LONGEST_SECTION), "blocks": _blocks(words)}))


def refusal(status: int, excerpt: bytes) -> str | None:
    """Slack answers `ok` to an accepted message, and otherwise the reason, sometimes with status 200."""
    word = excerpt.decode("utf-8", "replace").strip()
    if status == HTTPStatus.OK and word == "ok":
        return None
    return f"Slack did not accept the message, and answered: {word[:100] or 'nothing'}"


def verdict(answer: ReceiverAnswer) -> AnswerVerdict | None:
    """The verdict by the word in the body of a refusal. A 410 for an archived channel isn't the webhook's end."""
    word = answer.text[:100]
    if answer.status < HTTPStatus.BAD_REQUEST:
        return None  # a compatible service may use these words differently in a success
    if word in NEVER:
        return AnswerVerdict("never", f"Slack refused the message for good, and answered: {word}")
    if word == _ARCHIVED:
        return AnswerVerdict(AGAIN.kind, "the channel is archived: unarchive it, or disable the endpoint")
    return None


def _blocks(words: PlainText) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = [{"type": "header", "text": _plain(words.headline)}]
    if words.details:
        fields = [_marked(f"*{label}*\n", value) for label, value in words.details[:MOST_FIELDS]]
        blocks.append({"type": "section", "fields": fields})
    if words.lines:
        blocks.append({"type": "context", "elements": [_marked("", line) for line in words.lines]})
    # A link, not a button: Slack also sends a button's press to the app, and warns people if it gets no answer.
    links = [f"<{link.translate(_IN_LINKS)}|{label}>" for label, link in words.links]
    return blocks + [
        {"type": "section", "text": {"type": "mrkdwn", "text": link, "verbatim": True}}
        for link in links
        if len(link) <= LONGEST_SECTION
    ]


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": _fit(text, LONGEST_HEADER), "emoji": False}


def _marked(label: str, text: str) -> dict[str, Any]:
    # Verbatim: a name must not become a link or a mention.
    return {"type": "mrkdwn", "text": label + _fit(text, LONGEST_FIELD - len(label)), "verbatim": True}


def _fit(text: str, most: int) -> str:
    """Escape the text, and cut it to `most` characters, counted strictly: an escape in full, an emoji as two."""
    whole = "".join(_ESCAPES.get(character, character) for character in text)
    if _units(whole) <= most:
        return whole
    kept, left = [], most - 1  # one for the ellipsis
    for character in text:
        escaped = _ESCAPES.get(character, character)
        left -= _units(escaped)
        if left < 0:
            break
        kept.append(escaped)
    return f"{''.join(kept)}…"


def _units(text: str) -> int:
    return len(text) + sum([1 for character in text if character > "\uffff"])


SLACK = Target(build, refusal=refusal, verdict=verdict, for_people=True, rate=1.0)
