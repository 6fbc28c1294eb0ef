"""Messages in plain words for people, so that targets only lay them out and needn't know the data. Pure.

The text is plain: each target escapes it for its own markup. All of it is bounded, so that bodies are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from service.targets.message import AlertFacts, DriverFact, Message, OverrideFact

LONGEST = 250
"""The most characters of a detail or line; longer ones end in an ellipsis."""
LONGEST_NAME, LONGEST_RULE = 60, 40  # in the headline, which must have room for both
MOST_LINES = 10
NO_SCORE = "no score"
MINUS = "\N{MINUS SIGN}"
DISABLED = "endpoint disabled"
"""The text in place of a rule's name in a notice that an endpoint was disabled."""
_CONTROLS = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)], " ")


@dataclass(frozen=True, slots=True)
class PlainText:
    """A headline, up to ten details by label, up to ten lines (drivers, or the parts of a digest), and up to two
    links by label.
    """

    headline: str
    details: tuple[tuple[str, str], ...]
    lines: tuple[str, ...]
    links: tuple[tuple[str, str], ...]

    @property
    def text(self) -> str:
        """The whole text except the links, one item per line."""
        return "\n".join([self.headline, *(f"{label}: {value}" for label, value in self.details), *self.lines])


def to_plain_text(message: Message) -> PlainText:
    """Put a message of any type into words."""
    facts = message.facts
    headline, details, lines = _parts(message.type, facts)
    shown = [(label, shortened(value, LONGEST)) for label, value in details]
    filled = tuple((label, value) for label, value in shown if value)
    links = (("Open the account", message.link), ("Open the playbook", facts.playbook_url or ""))
    shown_links = tuple((label, link) for label, link in links if link)
    return PlainText(shortened(headline, LONGEST), filled, _bounded(lines), shown_links)


def shortened(text: str, most: int) -> str:
    """The text on one line of up to `most` characters without control characters, with an ellipsis if it was cut."""
    line = " ".join(text.translate(_CONTROLS).split())
    return line if len(line) <= most else f"{line[: most - 1].rstrip()}…"


_Parts = tuple[str, list[tuple[str, str]], list[str]]


def _parts(type_: str, facts: AlertFacts) -> _Parts:
    if facts.digest is not None:
        return _of_digest(facts.digest)
    if facts.source is not None:
        return _of_source(facts.source)
    if facts.endpoint is not None:
        return _of_endpoint(facts.endpoint, facts.rule)
    if facts.is_test:
        return "Test message from account-health: it has arrived", [], []
    return _of_account(type_, facts)


# --- one account ------------------------------------------------------------------------------------------------


def _of_account(type_: str, facts: AlertFacts) -> _Parts:
    named = shortened(facts.account_name or "", LONGEST)
    account = named or facts.account_id or "An account"
    details = [
        ("Account", account),
        ("Account id", (facts.account_id or "") if named else ""),
        ("Score", _change(_score(facts.score), _score(facts.previous_score))),
        ("Band", _change(facts.band or "unknown", facts.previous_band or "unknown")),
        _by_hand(facts.override),
        ("Rule", facts.rule),
        ("Left on", facts.churned_on or ""),
    ]
    happened = _happened(type_, facts, shortened(account, LONGEST_NAME))
    return f"{happened}: {_score_summary(facts)}", details, [_driver(each, facts) for each in facts.drivers[:3]]


def _by_hand(override: OverrideFact | None) -> tuple[str, str]:
    if override is None:
        return "Set by hand", ""
    set_to = override.band or "" if override.score is None else _number(override.score)
    text = f"{set_to} by {shortened(override.author, LONGEST_NAME)}: {override.reason}"
    return "Was set by hand until now" if override.ended else "Set by hand", text


def _happened(type_: str, facts: AlertFacts, account: str) -> str:
    rule = f"“{shortened(facts.rule, LONGEST_RULE)}”"
    match type_:
        case "health.threshold.resolved" if facts.churned_on:
            return f"{account} has left, and {rule} is over"
        case "health.threshold.resolved":
            return f"{account}: {rule} is over"
        case "health.band.changed" if facts.band != facts.previous_band:
            return f"{account} went from {facts.previous_band} to {facts.band} ({rule})"
        case "health.score.dropped" if facts.threshold is not None:
            return f"{account} lost {_number(facts.threshold)} points or more ({rule})"
        case _:
            return f"{account} set off {rule}"


def _score_summary(facts: AlertFacts) -> str:
    """`score 38 (red), was 62 (green)`."""
    now, before = _banded(facts.score, facts.band), _banded(facts.previous_score, facts.previous_band)
    text = now if facts.score is None else f"score {now}"
    return _change(text, before) if now != before else text


def _banded(score: float | None, band: str | None) -> str:
    return _score(score) if band in (None, "unknown") else f"{_score(score)} ({band})"


def _change(now: str, before: str) -> str:
    if now == before:
        return now
    return f"{now}, had {NO_SCORE} before" if before == NO_SCORE else f"{now}, was {before}"


def _score(score: float | None) -> str:
    return NO_SCORE if score is None else _number(score)


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _driver(driver: DriverFact, facts: AlertFacts) -> str:
    """`active users worsened: -12.4 points`. Not "fell": more open tickets, for one, cost points.

    Without an earlier score, or with one set by hand, no measure moved it: the points are those missing to 100.
    """
    measure = shortened(driver.measure.replace("_", " "), LONGEST - 40)
    sign, moved = (MINUS, "worsened") if driver.delta < 0 else ("+", "improved")
    size = _number(abs(driver.delta))
    points = f"{sign}{size} points" if size != "0" else "under 0.1 points"
    is_by_hand = facts.override is not None and facts.override.score is not None
    if facts.previous_score is None or is_by_hand:
        return f"{measure}: {points}"
    return f"{measure} {moved}: {points}"


# --- many or none -----------------------------------------------------------------------------------------------


def _of_digest(digest: dict[str, Any]) -> _Parts:
    rules = digest["rules"]
    moves = [each for each in digest["bands"] if each["band_before"] != each["band_after"]]
    moved = sum(each["accounts"] for each in moves)
    firing, resolved = sum(each["firing"] for each in rules), sum(each["resolved"] for each in rules)
    sums = [
        f"{_count_of(moved, 'account')} moved to another band" if moved else "",
        f"{_count_of(firing, 'alert')} began" if firing else "",
        f"{_count_of(resolved, 'alert')} ended" if resolved else "",
    ]
    details = [
        ("Rule" if digest["cause"] == "rule" else "Scorecard", digest["subject"]),
        ("Since", _time(digest["since"])),
        ("Alerts that began", str(firing)),
        ("Alerts that ended", str(resolved)),
    ]
    lines = [
        f"{each['band_before']} to {each['band_after']}: {_count_of(each['accounts'], 'account')}" for each in moves
    ]
    lines += [
        f"{shortened(each['rule'], LONGEST - 60)}: {each['firing']} began, {each['resolved']} ended" for each in rules
    ]
    summed_up = ", ".join(filter(None, sums)) or "nothing crossed"
    return f"{_cause(digest)}: {summed_up}", details, lines


def _cause(digest: dict[str, Any]) -> str:
    match digest["cause"]:
        case "scorecard":
            return f"Accounts are now scored by {shortened(digest['subject'], LONGEST_NAME) or 'another scorecard'}"
        case "rule":
            return f"Rule “{shortened(digest['subject'], LONGEST_NAME)}” was {digest.get('change') or 'changed'}"
        case "backfill":
            return "History was loaded"
        case "dwell":
            return "Rules have fired for many accounts after their dwell time"
        case _:
            return "Summed up"


def _count_of(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _of_source(source: dict[str, Any]) -> _Parts:
    details = [
        ("Source", source["name"]),
        ("Silent since", _time(source["began_on"])),
        ("Reporting since", _time(source["ended_at"])),
        ("Accounts reported", _accounts(source["accounts"])),
        ("Usual accounts", _accounts(source["usual"])),
    ]
    what = "reports again" if source["ended_at"] else "has gone quiet"
    return f"Source “{shortened(source['name'], LONGEST_NAME)}” {what}", details, []


def _accounts(count: int | None) -> str:
    return "" if count is None else _count_of(count, "account")


def _of_endpoint(endpoint: dict[str, Any], rule: str) -> _Parts:
    host, description = endpoint["url_host"], endpoint.get("description") or ""
    details = [
        ("Endpoint", description),
        ("Host", host),
        ("Endpoint id", endpoint["id"]),
        ("Reason", endpoint.get("reason") or ""),
        ("Failing since", _time(endpoint.get("since"))),
        ("Disabled at", _time(endpoint.get("disabled_at"))),
        ("Will be disabled at", _time(endpoint.get("will_be_disabled_at"))),
    ]
    what = "was disabled" if rule == DISABLED else "is failing"
    return f"Webhook endpoint “{shortened(description or host, LONGEST_NAME)}” {what}", details, []


def _time(text: str | None) -> str:
    """A date as it is, and a time to the minute."""
    if text is None or "T" not in text:
        return text or ""
    return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _bounded(lines: Sequence[str]) -> tuple[str, ...]:
    short_lines = [shortened(line, LONGEST) for line in lines]
    if len(short_lines) <= MOST_LINES:
        return tuple(short_lines)
    return (*short_lines[: MOST_LINES - 1], f"and {len(short_lines) - MOST_LINES + 1} more")
