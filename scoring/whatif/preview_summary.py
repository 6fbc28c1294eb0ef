"""Sums up the effect of publishing a draft over many accounts."""

from bisect import bisect_right, insort
from collections import Counter

from msgspec import Struct

from scoring.scorecards.contributions import BILLION
from scoring.scorecards.drivers import Driver, drivers
from scoring.scorecards.scorecard import Band
from scoring.whatif.preview import PolicyDraft, PreviewChange

MOST_MOVES = 10
STEPS = (1, 5, 10, 20)
"""Points that separate the counted ranges of score changes, in both directions."""


class PreviewShift(Struct, frozen=True):
    """The number of accounts that move from one band, or one scorecard, to another."""

    before: str
    after: str
    accounts: int


class Range(Struct, frozen=True):
    """The number of scores that change by `low` to `high` points; null means no limit."""

    low: float | None
    high: float | None
    accounts: int


class AccountMove(Struct, frozen=True):
    """An account whose score changes. `drivers` are the measures that move it most."""

    account_id: str
    name: str | None
    before: float
    after: float
    band_before: Band
    band_after: Band
    drivers: list[Driver]


class RuleAlerts(Struct, frozen=True):
    """The number of alerts of a rule that would fire, and of those that would be resolved."""

    id: str
    name: str
    firing: int
    resolved: int


class PreviewScoreChange(Struct, frozen=True):
    """The changes of scores in points, of the `compared` accounts that have one before and after.

    `mean` is null if there are none. `up` and `down` are the largest moves, the largest first.
    """

    compared: int
    mean: float | None
    distribution: list[Range]
    up: list[AccountMove]
    down: list[AccountMove]


class PreviewSummary(Struct, frozen=True):
    """The effect of publishing on the evaluated accounts.

    `covered` counts those that the draft would apply to. `bands` counts every account, `scorecards` those whose
    scorecard changes.
    """

    judged: int
    covered: int
    bands: list[PreviewShift]
    scorecards: list[PreviewShift]
    score: PreviewScoreChange
    rules: list[RuleAlerts]


class PreviewTotals:
    """Adds up changes, in any order and in constant space."""

    def __init__(self, draft: PolicyDraft) -> None:
        """All changes must be of this `draft`."""
        self._draft = draft
        self._bands: Counter[tuple[str, str]] = Counter()
        self._scorecards: Counter[tuple[str, str]] = Counter()
        self._alerts: Counter[tuple[str, str]] = Counter()
        self._ranges: Counter[int] = Counter()
        self._billionths = 0
        self._covered = 0
        self._up: list[AccountMove] = []
        self._down: list[AccountMove] = []

    def add(self, change: PreviewChange) -> None:
        """Count one account."""
        before, after = change.before, change.after
        self._bands[before.band, after.band] += 1
        self._scorecards[before.card.name, after.card.name] += 1
        self._covered += after.card is self._draft.card
        self._alerts.update((crossing.rule.id, crossing.state) for crossing in change.crossings)
        if before.score is None or after.score is None:
            return
        billionths = round((after.score - before.score) * BILLION)
        self._billionths += billionths
        self._ranges[_range_of(billionths / BILLION)] += 1
        if billionths:
            _rank(self._up if billionths > 0 else self._down, change, before.score, after.score)

    def summary(self) -> PreviewSummary:
        """The summary of the changes so far."""
        return PreviewSummary(
            judged=self._bands.total(),
            covered=self._covered,
            bands=_shifts(self._bands),
            scorecards=[shift for shift in _shifts(self._scorecards) if shift.before != shift.after],
            score=self._score(),
            rules=[
                RuleAlerts(rule.id, rule.name, self._alerts[rule.id, "firing"], self._alerts[rule.id, "resolved"])
                for rule in self._draft.present.rules
            ],
        )

    def _score(self) -> PreviewScoreChange:
        compared = self._ranges.total()
        return PreviewScoreChange(
            compared=compared,
            mean=self._billionths / compared / BILLION if compared else None,
            distribution=[_range(index, self._ranges[index]) for index in range(-len(STEPS), len(STEPS) + 1)],
            up=self._up,
            down=self._down,
        )


def _range_of(points: float) -> int:
    """0 for less than a point; then one more for each of `STEPS`, negative for a fall."""
    index = bisect_right(STEPS, abs(points))
    return index if points > 0 else -index


def _range(index: int, accounts: int) -> Range:
    if index == 0:
        return Range(-STEPS[0], STEPS[0], accounts)
    near = STEPS[abs(index) - 1]
    far = STEPS[abs(index)] if abs(index) < len(STEPS) else None
    if index > 0:
        return Range(near, far, accounts)
    return Range(None if far is None else -far, -near, accounts)


def _shifts(counts: Counter[tuple[str, str]]) -> list[PreviewShift]:
    return [PreviewShift(*pair, accounts) for pair, accounts in sorted(counts.items())]


def _rank(moves: list[AccountMove], change: PreviewChange, before: float, after: float) -> None:
    """Insert the change if it is among the largest; among equal ones the first account id wins."""
    if len(moves) == MOST_MOVES and _order_of(moves[-1]) <= (-abs(after - before), change.account_id):
        return
    moved = drivers(change.before, change.after)
    bands = change.before.band, change.after.band
    insort(moves, AccountMove(change.account_id, change.name, before, after, *bands, moved), key=_order_of)
    del moves[MOST_MOVES:]


def _order_of(move: AccountMove) -> tuple[float, str]:
    return -abs(move.after - move.before), move.account_id
