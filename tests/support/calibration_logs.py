"""Event logs of made-up accounts of which some leave, for `account-health calibrate`, and their outcomes."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from tests.support.cloud_events import cloud_event
from tests.support.event_logs import write_log

BEGIN = date(2024, 1, 1)
WEEKS = 14


def usage(account: str, day: date, feature: str, nth: int = 0) -> dict[str, Any]:
    """An event at noon, whose id follows from the rest."""
    when = datetime(day.year, day.month, day.day, 12, nth, tzinfo=UTC).isoformat()
    data = {"feature": feature, "user_id": "u"}
    return cloud_event("usage", account, data, id=f"{account}-{when}-{feature}", time=when)


def account_changed(account: str, day: date, **values: Any) -> dict[str, Any]:
    """Attributes that are set at noon."""
    when = datetime(day.year, day.month, day.day, 12, tzinfo=UTC).isoformat()
    return cloud_event("account", account, values, id=f"{account}-{when}-{'-'.join(values)}", time=when)


def write_portfolio(folder: Path, *, accounts: int = 120, churning: int = 45, seed: int = 1) -> tuple[Path, Path]:
    """A log and its outcomes. Those who leave use `report` less and `help` more than the others; one in twenty doesn't.

    Each has one outcome, on a day of its own between the eighth week and the last.
    """
    events: list[dict[str, Any]] = []
    outcomes = ["account_id,date,churned"]
    chance = np.random.default_rng(seed)
    for number in range(accounts):
        name, left = f"account-{number:03}", number < churning
        end = BEGIN + timedelta(days=int(chance.integers(56, 7 * WEEKS - 7)))
        events += _life(name, end, left ^ bool(chance.random() < 0.05), chance)
        outcomes.append(f"{name},{end},{str(left).lower()}")
    events.append(usage("account-000", BEGIN + timedelta(days=7 * WEEKS), "login"))
    csv = folder / "outcomes.csv"
    csv.write_text("\n".join([*outcomes, ""]))
    return write_log(folder / "log.ndjson", events), csv


def _life(name: str, end: date, unhappy: bool, chance: np.random.Generator) -> Iterator[dict[str, Any]]:
    for day in range((end - BEGIN).days):
        often = 0.05 if unhappy else 0.55
        for feature, share in (("report", often), ("help", 0.6 - often), ("login", 0.5)):
            if chance.random() < share:
                yield usage(name, BEGIN + timedelta(days=day), feature)
