"""The target `teams`: an Adaptive Card for a webhook of Microsoft Teams' Workflows (Power Automate).

Teams refuses messages of more than 28 KB; the text from `plain_text` stays far below that.
"""

from http import HTTPStatus
from typing import Any

import msgspec

from service.targets.answer import LIMITED, AnswerVerdict, ReceiverAnswer
from service.targets.message import Body, Message, NoOptions
from service.targets.plain_text import PlainText, to_plain_text
from service.targets.target import Target

CARD = "application/vnd.microsoft.card.adaptive"
LONGEST_LINK = 4_000
_NOT_POSTED = "Webhook message delivery failed"


def build(message: Message, _options: NoOptions) -> Body:
    """A message with one card attached."""
    attachment = {"contentType": CARD, "contentUrl": None, "content": _card(to_plain_text(message))}
    return Body(msgspec.json.encode({"type": "message", "attachments": [attachment]}))


def _card(words: PlainText) -> dict[str, Any]:
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "fallbackText": words.headline,
        "msteams": {"width": "Full"},
        "body": [
            _text(_run(words.headline, size="Large", weight="Bolder")),
            *(_text(_run(f"{label}: ", weight="Bolder"), _run(value)) for label, value in words.details),
            *(_text(_run(line, isSubtle=True)) for line in words.lines),
        ],
    }
    if links := [(label, link) for label, link in words.links if len(link) <= LONGEST_LINK]:
        card["actions"] = [{"type": "Action.OpenUrl", "title": label, "url": link} for label, link in links]
    return card


def _text(*runs: dict[str, Any]) -> dict[str, Any]:
    # No TextBlock or FactSet: those read Markdown, and an account's name could be a link to anywhere.
    return {"type": "RichTextBlock", "inlines": list(runs)}


def _run(text: str, **style: Any) -> dict[str, Any]:
    return {"type": "TextRun", "text": text, **style}


def verdict(answer: ReceiverAnswer) -> AnswerVerdict | None:
    """Teams' own webhooks answer 200 for messages they could not post, with the reason in words; a flow never
    answers a page.
    """
    if answer.status >= HTTPStatus.MULTIPLE_CHOICES:
        return None
    text = answer.text[:300]
    if _NOT_POSTED in text:
        return (
            LIMITED
            if "429" in text
            else AnswerVerdict("again", f"Teams did not post the message, and answered: {text}")
        )
    return AnswerVerdict("again", "a page is no answer of Teams: check the endpoint's URL") if answer.is_page else None


TEAMS = Target(build, verdict=verdict, for_people=True, rate=1.0)
