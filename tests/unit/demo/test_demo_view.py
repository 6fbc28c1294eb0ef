"""The demo's board: the webhooks that it trusts, and its display of scores."""

from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from service.delivery.transport.signing import sign
from service.demo.api_client import AccountScore
from service.demo.view.board import Board
from service.demo.view.plain_lines import PlainLines
from service.demo.view.screen import picture
from service.demo.webhook_receiver import Received, verify
from service.runtime.vault import new_webhook_secret

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
SECRET = new_webhook_secret()


def signed(**changes: str) -> dict[str, str]:
    return {**sign([new_webhook_secret(), SECRET], "an id", NOW, b"body"), **changes}


def test_a_message_is_trusted_if_one_of_its_signatures_is_right() -> None:
    assert verify(SECRET, signed(), b"body", NOW.timestamp())


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        (signed(), b"another body", 0),
        (signed(**{"webhook-id": "another id"}), b"body", 0),
        (signed(**{"webhook-signature": ""}), b"body", 0),
        (signed(**{"webhook-timestamp": "soon"}), b"body", 0),
        (signed(), b"body", 301),
        (signed(), b"body", -301),
        ({}, b"body", 0),
    ],
)
def test_anything_else_is_not(headers: dict[str, str], body: bytes, seconds: int) -> None:
    assert not verify(SECRET, headers, body, NOW.timestamp() + seconds)


def accounts(**scores: float | None) -> list[AccountScore]:
    return [
        AccountScore(name, name.title(), score, "unknown" if score is None else "red" if score < 40 else "green")
        for name, score in scores.items()
    ]


def test_a_score_is_shown_when_it_has_moved_by_a_point_in_all() -> None:
    board = Board()
    for score in (50.0, 49.6, 49.3, 48.9, 48.0, None, 47.0):
        board.add_accounts(accounts(acme=score), NOW)
    assert [(change.before, change.after) for change in board.changes] == [(50.0, 48.9), (48.9, 47.0)]
    assert board.bands == {"green": 1}
    assert board.scores == {"acme": 47.0}


def webhook(**data: Any) -> Received:
    told = {"account_name": "Acme", "rule": "At risk", "state": "firing", "score": 38.2, **data}
    return Received(NOW, True, "health.threshold.crossed", told)


def filled_board() -> Board:
    board = Board()
    board.add_accounts(accounts(acme=50.0, beta=None), NOW)
    board.add_accounts(accounts(acme=38.2, beta=None), NOW)
    board.add_webhook(webhook())
    board.tell("[Postgres] died")
    return board


@pytest.mark.parametrize("width", [70, 80, 120, 200])
def test_the_picture_fits_the_terminal(width: int) -> None:
    console = Console(file=StringIO(), width=width, force_terminal=True, color_system=None)
    with console.capture() as capture:
        console.print(picture(filled_board(), width, lines=5))
    lines = capture.get().splitlines()
    assert len(lines) == 14
    assert all(len(line) == width for line in lines)
    assert "50 → 38 ▼" in capture.get()
    assert "firing at 38.2" in capture.get()
    assert "[Postgres] died" in capture.get()


def test_an_empty_board_can_be_drawn_too() -> None:
    console = Console(file=StringIO(), width=80)
    console.print(picture(Board(), 80, lines=3))


def test_lines_tell_everything_once() -> None:
    file = StringIO()
    board = filled_board()
    lines = PlainLines(Console(file=file, width=40), board)
    lines.draw()
    lines.draw()
    board.add_webhook(webhook(state="resolved"))
    lines.draw()
    told = [line[9:] for line in file.getvalue().splitlines()]
    assert told == [
        "score    Acme: 50.0 -> 38.2 (red)",
        "webhook  health.threshold.crossed, Acme: At risk firing, signature verified ✓",
        "notice   [Postgres] died",
        "accounts 0 green, 0 yellow, 1 red, 1 unknown; 0.0 events/s, 0 folded; 1 webhooks",
        "webhook  health.threshold.crossed, Acme: At risk resolved, signature verified ✓",
    ]
