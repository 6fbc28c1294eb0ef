"""The formats that receivers document, written down from their pages and not from our code.

Slack: docs.slack.dev/reference/block-kit. Teams: Adaptive Cards 1.4 and Microsoft's page on Workflows webhooks.
Alertmanager: prometheus.io/docs/alerting/latest/configuration, webhook_config, and notifications.
"""

import re
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
ESCAPED = re.compile(r"[^&<>]|&amp;|&lt;|&gt;")


def check_slack(body: dict[str, Any]) -> None:
    """An incoming webhook's message: escaped, and within every limit of Block Kit, counted in UTF-16."""
    assert body.keys() <= {"text", "blocks"}
    assert 0 < _units(body["text"]) <= 40_000
    assert "".join(ESCAPED.findall(body["text"])) == body["text"]
    assert 0 < len(body["blocks"]) <= 50
    for block in body["blocks"]:
        _SLACK_BLOCKS[block["type"]](block)


def _header(block: dict[str, Any]) -> None:
    assert block.keys() == {"type", "text"}
    assert block["text"]["type"] == "plain_text"
    _slack_text(block["text"], 150)


def _section(block: dict[str, Any]) -> None:
    assert block.keys() - {"type"} in ({"text"}, {"fields"}, {"text", "fields"})
    if "text" in block:
        _slack_text(block["text"], 3000)
    if "fields" in block:
        assert 0 < len(block["fields"]) <= 10
        for field in block["fields"]:
            _slack_text(field, 2000)


def _context(block: dict[str, Any]) -> None:
    assert block.keys() == {"type", "elements"}
    assert 0 < len(block["elements"]) <= 10
    for element in block["elements"]:
        _slack_text(element, 2000)


_SLACK_BLOCKS = {"header": _header, "section": _section, "context": _context}


def _slack_text(text: dict[str, Any], most: int) -> None:
    assert 0 < _units(text["text"]) <= most, text
    if text["type"] == "plain_text":
        assert text.keys() <= {"type", "text", "emoji"}
        plain = text["text"]
    else:
        assert text["type"] == "mrkdwn"
        assert text.keys() <= {"type", "text", "verbatim"}
        link = re.fullmatch(r"<(https?://[^|<>\s]+)\|([^|<>]+)>", text["text"])
        plain = "".join(link.groups()) if link else text["text"]
    assert "".join(ESCAPED.findall(plain)) == plain, text


def _units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def check_teams(raw: bytes, body: dict[str, Any]) -> None:
    """A message with one Adaptive Card 1.4, below 28 KB, in which nothing reads Markdown."""
    assert len(raw) < 28_000
    assert body.keys() == {"type", "attachments"}
    assert body["type"] == "message"
    (attachment,) = body["attachments"]
    assert attachment.keys() == {"contentType", "contentUrl", "content"}
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert attachment["contentUrl"] is None
    card = attachment["content"]
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    assert card.keys() <= {"$schema", "type", "version", "body", "actions", "fallbackText", "msteams"}
    assert card["body"]
    for element in card["body"]:
        assert (element.keys(), element["type"]) == ({"type", "inlines"}, "RichTextBlock")
        assert element["inlines"]
        for run in element["inlines"]:
            assert run["type"] == "TextRun"
            assert run["text"]
            assert run.keys() <= {"type", "text", "size", "weight", "isSubtle"}
    for action in card.get("actions", []):
        assert action["type"] == "Action.OpenUrl"
        assert action["title"]
        assert urlsplit(action["url"]).scheme in ("http", "https")


def check_alertmanager(body: dict[str, Any]) -> None:
    """A group of alerts as Alertmanager 0.28 posts it."""
    assert body.keys() == {
        "version", "groupKey", "truncatedAlerts", "status", "receiver", "groupLabels",
        "commonLabels", "commonAnnotations", "externalURL", "alerts",
    }  # fmt: skip
    assert (body["version"], body["truncatedAlerts"]) == ("4", 0)
    assert body["groupKey"]
    assert body["receiver"]
    for labels in (body["groupLabels"], body["commonLabels"], body["commonAnnotations"]):
        _labels(labels)
    assert body["groupLabels"].items() <= body["commonLabels"].items()
    assert body["alerts"]
    for alert in body["alerts"]:
        assert alert.keys() == {
            "status", "labels", "annotations", "startsAt", "endsAt", "generatorURL", "fingerprint",
        }  # fmt: skip
        _labels(alert["labels"])
        _labels(alert["annotations"])
        assert body["commonLabels"].items() <= alert["labels"].items()
        assert body["commonAnnotations"].items() <= alert["annotations"].items()
        assert alert["labels"]["alertname"]
        assert RFC3339.fullmatch(alert["startsAt"])
        assert RFC3339.fullmatch(alert["endsAt"])
        ended = alert["endsAt"] != "0001-01-01T00:00:00Z"
        assert ended == (alert["status"] == "resolved")
        assert not ended or datetime.fromisoformat(alert["startsAt"]) <= datetime.fromisoformat(alert["endsAt"])
        assert re.fullmatch("[0-9a-f]{16}", alert["fingerprint"])
    statuses = {alert["status"] for alert in body["alerts"]}
    assert body["status"] == ("firing" if "firing" in statuses else "resolved")


def _labels(labels: dict[str, Any]) -> None:
    for name, value in labels.items():
        assert re.fullmatch("[a-zA-Z_][a-zA-Z0-9_]*", name)
        assert isinstance(value, str)
        assert value
