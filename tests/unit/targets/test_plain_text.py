"""The words of messages to people."""

from typing import Any

import pytest

from service.targets.message import Message
from service.targets.plain_text import LONGEST, MOST_LINES, to_plain_text
from tests.support.messages import ACCOUNT, BASE, HOSTILE, ID, MESSAGES, digest, message, source

NAME = "Sørensen 株式会社"


@pytest.mark.parametrize(
    ("name", "headline"),
    [
        ("crossed", f"{NAME} set off “At risk”: score 38 (red), was 62.5 (yellow)"),
        ("resolved", f"{NAME}: “At risk” is over: score 71 (green), was 38 (yellow)"),
        ("band changed", f"{NAME} went from yellow to red (“Band watch”): score 38 (red), was 62.5 (yellow)"),
        ("score dropped", f"{NAME} lost 10 points or more (“At risk”): score 38 (red), was 39 (red)"),
        ("unknown", f"{NAME} set off “At risk”: no score, was 62.5 (yellow)"),
        ("never known", f"{NAME} set off “At risk”: no score"),
        ("known at last", f"{NAME} set off “At risk”: score 38 (red), had no score before"),
        ("without a name", "acme set off “At risk”: score 38 (red), was 62.5 (yellow)"),
        (
            "scorecard",
            (
                "Accounts are now scored by default v3, onboarding v1: 1,201 accounts moved to another band, "
                "12 alerts began, 1 alert ended"
            ),
        ),
        ("backfill", "History was loaded: 12 alerts began, 1 alert ended"),
        ("dwell", "Rules have fired for many accounts after their dwell time: 12 alerts began, 1 alert ended"),
        ("source quiet", "Source “/app” has gone quiet"),
        ("source back", "Source “/app” reports again"),
        ("endpoint failing", "Webhook endpoint “The CRM” is failing"),
        ("endpoint disabled", "Webhook endpoint “crm.example.com” was disabled"),
        ("test", "Test message from account-health: it has arrived"),
    ],
)
def test_headlines(name: str, headline: str) -> None:
    assert to_plain_text(MESSAGES[name]).headline == headline


BY_HAND = {"author": "Ann", "reason": "Their champion has left.", "score": 12.5, "band": None, "ended": False}


@pytest.mark.parametrize(
    ("told", "details"),
    [
        (
            message(account_name=None, score=None, band="unknown"),
            {
                "Account": "acme",
                "Score": "no score, was 62.5",
                "Band": "unknown, was yellow",
                "Rule": "At risk",
            },
        ),
        (
            MESSAGES["scorecard"],
            {
                "Scorecard": "default v3, onboarding v1",
                "Since": "2026-03-01 10:15 UTC",
                "Alerts that began": "12",
                "Alerts that ended": "1",
            },
        ),
        (
            MESSAGES["source quiet"],
            {
                "Source": "/app",
                "Silent since": "2026-02-27",
                "Accounts reported": "3 accounts",
                "Usual accounts": "1,200 accounts",
            },
        ),
        (
            MESSAGES["source back"],
            {"Source": "/app", "Silent since": "2026-02-27", "Reporting since": "2026-02-28 06:30 UTC"},
        ),
        (
            MESSAGES["endpoint failing"],
            {
                "Endpoint": "The CRM",
                "Host": "crm.example.com",
                "Endpoint id": str(ID),
                "Reason": "failing",
                "Failing since": "2026-02-27 09:00 UTC",
                "Will be disabled at": "2026-03-04 09:00 UTC",
            },
        ),
        (MESSAGES["test"], {}),
    ],
)
def test_details(told: Message, details: dict[str, str]) -> None:
    assert dict(to_plain_text(told).details) == details


def test_lines_of_a_scorecards_digest() -> None:
    assert to_plain_text(MESSAGES["scorecard"]).lines == (
        "green to red: 1 account",
        "green to yellow: 1,200 accounts",
        "At risk: 3 began, 1 ended",
        "Silent: 9 began, 0 ended",
    )


def test_a_digest_of_a_rule_says_what_happened_to_it() -> None:
    """A digest that was written before digests named the change says that it was changed."""
    for change in ("created", "changed", "enabled", "disabled", "deleted"):
        assert to_plain_text(digest("rule", "At risk", change=change)).headline.startswith(
            f"Rule “At risk” was {change}: "
        )
    assert to_plain_text(digest("rule", "At risk")).headline.startswith("Rule “At risk” was changed: ")


def test_a_digest_in_which_nothing_crossed_says_so() -> None:
    same = [{"band_before": "red", "band_after": "red", "accounts": 3}]
    assert to_plain_text(digest("scorecard", "default v2", rules=[], bands=same)).headline == (
        "Accounts are now scored by default v2: nothing crossed"
    )


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "active users worsened: \N{MINUS SIGN}12.4 points"),
        ({"previous_score": None}, "active users: \N{MINUS SIGN}12.4 points"),
        ({"override": BY_HAND}, "active users: \N{MINUS SIGN}12.4 points"),
        ({"override": {**BY_HAND, "score": None, "band": "red"}}, "active users worsened: \N{MINUS SIGN}12.4 points"),
        ({"drivers": [{"measure": "nps", "delta": 3}]}, "nps improved: +3 points"),
        ({"drivers": [{"measure": "nps", "delta": 0.01}]}, "nps improved: under 0.1 points"),
    ],
)
def test_drivers(changes: dict[str, Any], line: str) -> None:
    assert to_plain_text(message(**changes)).lines[0] == line


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, ("Set by hand", "12.5 by Ann: Their champion has left.")),
        ({"score": None, "band": "red"}, ("Set by hand", "red by Ann: Their champion has left.")),
        ({"ended": True}, ("Was set by hand until now", "12.5 by Ann: Their champion has left.")),
    ],
)
def test_an_override_is_shown_with_its_author_and_reason(changes: dict[str, Any], told: tuple[str, str]) -> None:
    assert told in to_plain_text(message(override={**BY_HAND, **changes})).details


def test_no_more_than_three_drivers() -> None:
    assert len(to_plain_text(message(drivers=ACCOUNT["drivers"] * 3)).lines) == 3


@pytest.mark.parametrize("band", ["red", None])
def test_a_band_that_did_not_change_did_not_change(band: str | None) -> None:
    """A rule with a dwell fires later than the band changes."""
    headline = to_plain_text(message("health.band.changed", band=band, previous_band=band)).headline
    assert headline.startswith(f"{NAME} set off “At risk”: score 38")


def test_a_rule_named_test_is_a_rule() -> None:
    assert to_plain_text(message(rule="test")).headline.startswith(f"{NAME} set off “test”")


def test_a_blank_name_is_none() -> None:
    assert to_plain_text(message(account_name=" \x00\n")).headline.startswith("acme set off")


@pytest.mark.parametrize("name", MESSAGES)
def test_all_of_it_is_bounded_and_printable_in_one_line_each(name: str) -> None:
    words = to_plain_text(MESSAGES[name])
    texts = [words.headline, *[text for detail in words.details for text in detail], *words.lines]
    assert all(0 < len(text) <= LONGEST for text in texts)
    assert not any(character in text for text in texts for character in "\n\t\0\x1b\x85")
    assert len(words.details) <= 10
    assert len(words.lines) <= MOST_LINES
    assert all(link.startswith("https://") and BASE not in link for _, link in words.links)


def test_what_is_cut_ends_in_an_ellipsis() -> None:
    assert to_plain_text(MESSAGES["hostile digest"]).lines[-1] == "and 43 more"
    assert dict(to_plain_text(source("source quiet", name=HOSTILE)).details)["Source"].endswith("…")
    assert to_plain_text(message(account_name="x" * 500)).headline.startswith(f"{'x' * 59}… set off")
