"""The material of a calibration: rows of all accounts side by side, in one order, and features by frequency."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from scoring.backtest.horizon import Timing
from scoring.backtest.outcomes import Outcome
from scoring.rules.policy import Policy
from scoring.scorecards.document import parse
from scoring.scorecards.scorecard import compile_scorecard
from scoring.state.calendar import to_day
from service.jobs.backtest.engine_local import LocalEngine
from service.jobs.backtest.event_log import partition_log
from service.jobs.calibration import material
from service.jobs.calibration.material import COUNT, IN_FORCE, Request, read_material
from service.jobs.load.files import LoadRequest
from tests.support.calibration_logs import BEGIN, usage
from tests.support.event_logs import write_log

ACCOUNTS = ["zeta", "a", "Äpfel", "\U0001f600", "\uff5e", "B"]
NPS = {"measure": "nps", "window": 30, "weight": 1, "curve": [[-100, 0], [100, 100]]}
SILENT = Policy((compile_scorecard(parse({"name": "default", "measures": [NPS]}, 92), 1),), retention=92)
"""Of accounts that nobody asked, its scorecard knows nothing."""
END = to_day(BEGIN) + 30


def test_what_is_known_of_decisions_is_in_the_order_of_their_readings(tmp_path: Path) -> None:
    """Each account has its own number of events, by which its rows can be told."""
    events = [
        usage(account, BEGIN + timedelta(days=day), "login")
        for number, account in enumerate(ACCOUNTS)
        for day in range(2 * number + 1)
    ]
    events.append(usage("other", BEGIN + timedelta(days=40), "login"))
    file = write_log(tmp_path / "log.ndjson", events)
    log = asyncio.run(partition_log(LoadRequest([file], None, None, tmp_path / "work"), 100_000, asyncio.Event()))
    outcomes = [Outcome(account, day, churned=False) for account in ACCOUNTS for day in (END - 20, END)]
    found = read_material(log, Request(SILENT, outcomes, Timing(3)), LocalEngine(1))
    expected = sorted(ACCOUNTS)
    assert found.known.accounts.tolist() == [account for account in expected for _ in range(2)]
    assert found.known.days.tolist() == [END - 23, END - 3] * len(ACCOUNTS)
    counts = [
        float(min(seen, 2 * ACCOUNTS.index(account) + 1))
        for account in expected
        for seen in (END - 22 - to_day(BEGIN), 99)
    ]
    assert found.others.scores[COUNT].tolist() == counts
    assert found.others.tenures.tolist() == [7, 27] * len(ACCOUNTS)
    days = [each.name for each in found.known.candidates].index("active_days_28")
    assert found.known.values[:, days].tolist() == counts
    assert found.others.scores[IN_FORCE].tolist() == [50.0] * len(counts)  # no score is neutral
    assert found.left_out == []
    assert found.tried > len(found.known.candidates)


def test_of_very_many_features_the_most_frequent_are_counted_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(material, "MOST_FEATURES", 20)

    def batches() -> Iterator[pa.RecordBatch]:
        for number in range(100):
            names = ["login", "report", *(f"rare-{number}-{nth}" for nth in range(5))]
            yield pa.RecordBatch.from_pydict({"feature": names, "events": [3, 2, 1, 1, 1, 1, 1]})

    found = material._frequencies(batches())
    assert found.most_common(2) == [("login", 300), ("report", 200)]
    assert len(found) <= 20
