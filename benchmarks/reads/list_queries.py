"""Random queries of `/v1/accounts`: those of people, dashboards and synchronising programs."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import get_args
from urllib.parse import urlencode

from benchmarks.harness import account_id
from benchmarks.harness.population import chance
from service.api.http.pagination import encode_token
from service.storage.accounts.account_filter import BANDS
from service.storage.accounts.listing.page import Sort

OWNERS = 400
SEGMENTS = {"self-serve": 0.70, "smb": 0.20, "mid-market": 0.07, "enterprise": 0.025, "strategic": 0.005}
STAGES = {"live": 0.75, "renewal": 0.15, "onboarding": 0.05, "churned": 0.05}
TIES = {"NULL": 0.10, "100": 0.10, "0": 0.04, "18.75": 0.12, "35": 0.06}
"""Scores that many accounts share; the others are spread around 75."""
SORTS: tuple[Sort, ...] = get_args(Sort)

Words = list[tuple[str, object]]

FILTERS: dict[str, Callable[[Random, datetime], Words]] = {
    "no filter": lambda random, now: [],
    "band": lambda random, now: [("band", random.choice(BANDS))],
    "red": lambda random, now: [("band", "red")],
    "yellow": lambda random, now: [("band", "yellow")],
    "segment": lambda random, now: [("segment", random.choice(list(SEGMENTS)))],
    "stage": lambda random, now: [("stage", random.choice(list(STAGES)))],
    "owner": lambda random, now: [("owner", f"owner-{random.randint(1, OWNERS)}@example.com")],
    "scores": lambda random, now: _range(random),
    "changed_since": lambda random, now: [
        ("changed_since", (now - timedelta(minutes=random.choice([1, 10, 60, 300]))).isoformat())
    ],
}
KINDS = (
    "no filter", "band", "red and yellow", "segment", "stage", "owner", "scores", "changed_since", "owner and band",
    "segment and scores", "segment and stage", "stage and changed_since", "owner and red and segment",
)  # fmt: skip
"""Combinations of these filters."""


def paths(kind: str, seed: int, count: int, accounts: int) -> Iterator[str]:
    """Paths with queries of a kind, in all orders, a third of them for pages deep in the list."""
    random = Random(seed)
    for number in range(count):
        sort = SORTS[number % len(SORTS)]
        now = datetime.now(UTC)
        words = [word for name in kind.split(" and ") for word in FILTERS[name](random, now)]
        words.append(("sort", sort))
        if random.random() < 1 / 3:
            words.append(("page_token", encode_token((sort, *_deep(random, sort, accounts, now)))))
        yield f"/v1/accounts?{urlencode(words)}"


def spread(now: datetime) -> dict[str, dict[str, str]]:
    """Expressions for `populated`: owners by Zipf's law, segments of very different sizes, scores that tie,
    half of the accounts changed within three minutes ten hours ago, a fifth within the last hour.
    """
    ago = f"CASE WHEN {chance(6)} < 0.5 THEN 36000 - 180 * {chance(7)} WHEN {chance(6)} < 0.8 THEN 35000 * {chance(7)}"
    normal = f"75 + 18 * sqrt(-2 * ln({chance(4)} + 1e-12)) * cos(6.2832 * {chance(5)})"
    score = _pick(3, TIES, f"least(100, greatest(0, {normal}))")
    band = f"CASE WHEN {score} IS NULL THEN 'unknown' WHEN {score} < 40 THEN 'red'"
    attributes = {
        "segment": _pick(0, {f"'{name}'": share for name, share in SEGMENTS.items()}, "NULL"),
        "stage": _pick(1, {f"'{name}'": share for name, share in STAGES.items()}, "NULL"),
        "owner": f"'owner-' || floor(exp({chance(2)} * ln({OWNERS + 1})))::int || '@example.com'",
    }
    shown = {"score": score, "band": f"{band} WHEN {score} < 70 THEN 'yellow' ELSE 'green' END"}
    return {
        "accounts": attributes,
        "scores": shown,
        "listed_accounts": {
            **attributes,
            **shown,
            "changed_at": f"'{now.isoformat()}'::timestamptz - interval '1 s' * ({ago} ELSE 3600 * {chance(7)} END)",
        },
    }


def _pick(salt: int, shares: dict[str, float], other: str) -> str:
    """SQL for one of some values, each as often as its share says."""
    upto = 0.0
    cases = []
    for value, share in shares.items():
        upto += share
        cases.append(f"WHEN {chance(salt)} < {upto} THEN {value}")
    return f"(CASE {' '.join(cases)} ELSE {other} END)"


def _range(random: Random) -> Words:
    low = random.uniform(0, 95)
    return [("min_score", low), ("max_score", min(low + random.choice([0.5, 5, 30]), 100))]


def _deep(random: Random, sort: Sort, accounts: int, now: datetime) -> tuple[object, ...]:
    ended_at = account_id(random.randrange(accounts))
    if sort.endswith("account_id"):
        return ended_at, ended_at
    if sort.endswith("score"):
        return random.choice([100.0, 0.0, 35.0, 18.75, random.uniform(0, 100)]), ended_at
    return now - timedelta(hours=random.uniform(0, 10)), ended_at
