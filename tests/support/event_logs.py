"""An event log of a few accounts and signals, a policy that judges it, and its replay in one process."""

import json
import random
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from scoring.backtest.replay import replay, replay_scores
from scoring.rules.conditions import BandRule, Rule, ScoreRule, SilenceRule
from scoring.rules.policy import Policy
from scoring.scorecards.document import parse
from scoring.scorecards.scorecard import compile_scorecard
from scoring.scorecards.selection import in_order
from scoring.state.calendar import MICROSECONDS_PER_DAY
from scoring.state.events import Event
from service.jobs.backtest.replay_task import DayCrossing, ReplayRow
from service.messaging.cloudevents import decode_structured, now_micros, signal_of
from tests.support.cloud_events import cloud_event, encode

BEGIN = datetime(2024, 1, 1, 8, tzinfo=UTC)
DAYS = 60


def log_of(accounts: Iterable[str], seed: int = 1, begin: datetime = BEGIN) -> list[dict[str, Any]]:
    """Events in no order, of all signals; some twice, as senders repeat themselves. Every other account goes silent."""
    chance = random.Random(seed)
    events: list[dict[str, Any]] = []
    for number, account in enumerate(accounts):
        for nth in range(30):
            day = chance.randrange(DAYS // 2 if number % 2 else DAYS)
            when = begin + timedelta(days=day, minutes=chance.randrange(600))
            events.append(_event(chance, account, f"{account}-{nth}", when))
    repeated = [event | {"data": event["data"]} for event in chance.sample(events, len(events) // 10)]
    chance.shuffle(events)
    return events + repeated


def _event(chance: random.Random, account: str, name: str, when: datetime) -> dict[str, Any]:
    signal = chance.choice(["usage"] * 7 + ["ticket", "survey", "account"])
    owner = chance.choice(["ann", "bob", None])
    data: dict[str, Any] = {
        "usage": {"feature": chance.choice(["login", "export"]), "user_id": chance.choice("abc")},
        "ticket": {"ticket_id": "t", "status": "open", "priority": "high", "created_at": when.isoformat()},
        "survey": {"survey": "nps", "response_id": name, "score": chance.randrange(11)},
        "account": {
            "segment": chance.choice(["large", "small"]),
            "seats": 3,
            "owner": owner,
        },
    }
    return cloud_event(signal, account, data[signal], id=name, time=when.isoformat())


def write_log(path: Path, events: Iterable[dict[str, Any]]) -> Path:
    """One event a line."""
    path.write_text("".join(f"{json.dumps(event)}\n" for event in events))
    return path


def some_policy() -> Policy:
    """Two scorecards and three rules."""
    measures = [
        {"measure": "days_since_last_use", "weight": 2, "curve": [[0, 100], [20, 0]]},
        {"measure": "active_users", "window": 14, "weight": 1, "curve": [[0, 0], [3, 100]], "missing": {"score": 20}},
        {"measure": "nps", "window": 30, "weight": 1, "curve": [[-100, 0], [100, 100]], "missing": "neutral"},
    ]
    large = {"name": "large", "applies_to": {"segments": ["large"]}, "measures": measures[:2]}
    cards = [
        compile_scorecard(parse(document, 92), 3) for document in ({"name": "default", "measures": measures}, large)
    ]
    rules = (
        Rule("low", "Low", ScoreRule(direction="below", level=50, clear_level=60, for_seconds=86_400)),
        Rule("red", "Red", BandRule(to=["red"])),
        Rule("quiet", "Quiet", SilenceRule(level=4)),
    )
    return Policy(in_order(cards), rules)


def replayed(events: Iterable[dict[str, Any]], policy: Policy, until: int, *, full: bool = False) -> list[ReplayRow]:
    """The rows that every engine must give for a log: its accounts replayed one after the other in this process."""
    accounts: dict[str, dict[tuple[str, str], Event]] = defaultdict(dict)
    for each in events:
        event = decode_structured(signal_of(each["type"]), encode(each), now_micros()).event
        accounts[event.account_id].setdefault((event.source, event.id), event)
    rows: list[ReplayRow] = []
    for account in sorted(accounts):
        its = list(accounts[account].values())
        past = (replay if full else replay_scores)(its, policy, until)
        days = [event.at // MICROSECONDS_PER_DAY for event in its if event.at <= until]
        crossings: dict[int, tuple[DayCrossing, ...]] = defaultdict(tuple)
        for each_crossing in past.crossings:
            crossing = each_crossing.crossing
            crossings[each_crossing.at // MICROSECONDS_PER_DAY] += (
                DayCrossing(
                    each_crossing.at,
                    crossing.rule.id,
                    crossing.state,
                    each_crossing.score,
                    crossing.began_at,
                    each_crossing.owner,
                ),
            )
        rows += [ReplayRow(account, *score, days.count(score.day), crossings[score.day]) for score in past.scores]
    return rows
