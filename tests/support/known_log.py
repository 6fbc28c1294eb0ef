"""A log whose back-test can be worked out by hand: twelve accounts that left, and twelve that stayed."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.support.cloud_events import cloud_event
from tests.support.event_logs import write_log

OUTCOME = date(2024, 5, 1)
LAST = date(2024, 5, 5)
CHURNERS = [f"left-{number}" for number in range(12)]
STAYERS = [f"stayed-{number}" for number in range(12)]

DRAFT = "name: default\nmeasures:\n- {measure: days_since_last_use, weight: 1, curve: [[0, 100], [50, 0]]}\n"


def used(account: str, day: date, nth: int = 0) -> dict[str, Any]:
    """An event of a used feature on a day."""
    when = datetime(day.year, day.month, day.day, 9, nth, tzinfo=UTC).isoformat()
    return cloud_event("usage", account, {"feature": "login", "user_id": "u"}, id=f"{account}-{when}", time=when)


def known_log(path: Path) -> Path:
    """Those who leave use it twice a day from 30 to 25 days before, the others once a week, until the last day."""
    events = [
        used(account, OUTCOME - timedelta(days=before), nth)
        for account in CHURNERS
        for before in range(25, 31)
        for nth in range(2)
    ]
    events += [used(account, LAST - timedelta(days=7 * week)) for account in STAYERS for week in range(10)]
    return write_log(path, events)


def known_outcomes(path: Path) -> Path:
    """The outcomes of its accounts, and two of no use: of an unknown account, and after the end of the log."""
    rows = [f"{account},{OUTCOME},true" for account in CHURNERS] + [f"{account},{OUTCOME},false" for account in STAYERS]
    rows += ["nobody,2024-05-01,true", "stayed-1,2024-06-01,false"]
    path.write_text("\n".join(["account_id,date,churned", *rows, ""]))
    return path
