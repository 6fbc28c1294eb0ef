"""The expected scores, computed apart from all contenders: each must have done the same work."""

import time
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime

import numpy as np

from benchmarks.harness.servers import query
from benchmarks.harness.workload import Workload
from benchmarks.ingest.scorecard import default_scorecard
from scoring.scorecards.scorecard import evaluate
from scoring.state.account_state import AccountState, fold
from scoring.state.calendar import day_of, to_micros
from scoring.state.events import Event
from service.messaging.cloudevents import decode_structured

SAMPLE = 200
TOLERANCE = 0.01


def expected_scores(workload: Workload, offsets: Mapping[int, int]) -> dict[str, float | None]:
    """The scores of some accounts, the busiest among them, after the events before `offsets` were folded today."""
    done = np.array([offsets.get(partition, 0) for partition in range(workload.partitions)])
    folded = np.flatnonzero(workload.offset < done[workload.partition])
    accounts, counts = np.unique(workload.account[folded], return_counts=True)
    others = np.random.default_rng(0).permutation(accounts)[: SAMPLE - 1]
    chosen = np.append(others, accounts[counts.argmax()])
    places = folded[np.isin(workload.account[folded], chosen)]
    taken_at = int(time.time() * 1e6)
    events: dict[str, list[Event]] = defaultdict(list)
    for value in workload.values(places):
        event = decode_structured("usage", value, taken_at).event
        events[event.account_id].append(event)
    scorecard = default_scorecard()
    today = day_of(to_micros(datetime.now(UTC)))
    scores = {}
    for account, theirs in events.items():
        state = AccountState()
        fold(state, theirs)
        scores[account] = evaluate(scorecard, state, today).score
    return scores


def compare(expected: Mapping[str, float | None], actual: Mapping[str, float | None]) -> float:
    """The worst difference in points; an account that is missing, or has a score where none is due, differs by 100."""

    def difference(account: str) -> float:
        if account not in actual:
            return 100.0
        wanted, found = expected[account], actual[account]
        if wanted is None or found is None:
            return 0.0 if wanted is found else 100.0
        return abs(wanted - found)

    return max(map(difference, expected))


def check(database_url: str, workload: Workload, offsets: Mapping[int, int]) -> tuple[int, float]:
    """The number of compared accounts in a contender's table `scores`, and the worst difference."""
    expected = expected_scores(workload, offsets)
    rows = query(
        database_url, "SELECT account_id, score FROM scores WHERE account_id = ANY($1::text[])", list(expected)
    )
    return len(expected), compare(expected, {row["account_id"]: row["score"] for row in rows})
