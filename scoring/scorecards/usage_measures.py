"""Measures of the use of the product.

They run for each account of each batch, so the beginning of a window, `day - before`, isn't a call. Counters hold no
day after the one that is measured, and are in order, as the fold keeps them.
"""

from bisect import bisect_left
from collections.abc import Iterable
from operator import sub

from scoring.scorecards.measure import Measure, Missing, Parameters, Value
from scoring.state.account_state import AccountState
from scoring.state.calendar import to_day_text
from scoring.state.distinct_sample import estimate
from scoring.state.usage import UsageState, first_day_of

RHYTHM_DAYS = 92
"""Days before today from which `silence_ratio` takes the account's own rhythm."""
LEAST_ACTIVE_DAYS = 3
"""Active days from which an account has a rhythm: two gaps."""


def active_users(p: Parameters) -> Measure:
    """Distinct users in the window."""

    before = p.window - 1

    def measure(state: AccountState, day: int) -> Value:
        usage = state.usage
        if usage.last_day < 0:
            return Missing.NO_USAGE
        first = day - before
        kept = len([1 for last in usage.users.values() if last >= first])
        return float(estimate(kept, usage.users_below))

    return measure


def active_days(p: Parameters) -> Measure:
    """Days with usage in the window."""

    before = p.window - 1

    def measure(state: AccountState, day: int) -> Value:
        usage = state.usage
        if usage.last_day < 0:
            return Missing.NO_USAGE
        days = list(usage.days)
        return float(len(days) - bisect_left(days, day - before))

    return measure


def seat_utilization(p: Parameters) -> Measure:
    """Active users in the window as a percentage of the seats."""

    users_of = active_users(p)

    def measure(state: AccountState, day: int) -> Value:
        seats = state.attributes.value("seats")
        if not isinstance(seats, int) or seats <= 0:
            return Missing.NO_SEATS
        users = users_of(state, day)
        return users if isinstance(users, Missing) else 100.0 * users / seats

    return measure


def _volumes(usage: UsageState, first: int, middle: int, features: frozenset[str] | None) -> tuple[int, int]:
    """The quantity from `first` to before `middle`, and from `middle` on."""
    if features is None:
        return _totals(usage.days, first, middle)
    totals = [_totals(usage.features.get(feature, {}), first, middle) for feature in features]
    return sum([before for before, _ in totals]), sum([after for _, after in totals])


def _totals(counts: dict[int, int], first: int, middle: int) -> tuple[int, int]:
    days, quantities = list(counts), list(counts.values())
    split = bisect_left(days, middle)
    return sum(quantities[bisect_left(days, first) : split]), sum(quantities[split:])


def _total_since(counts: dict[int, int], first: int) -> int:
    days = list(counts)
    if not days or days[0] >= first:
        return sum(counts.values())
    return sum(list(counts.values())[bisect_left(days, first) :])


def usage_volume(p: Parameters) -> Measure:
    """Quantity used in the window."""

    before, features = p.window - 1, p.features

    def measure(state: AccountState, day: int) -> Value:
        usage = state.usage
        if usage.last_day < 0:
            return Missing.NO_USAGE
        first = day - before
        if features is None:
            return float(_total_since(usage.days, first))
        return float(sum([_total_since(usage.features.get(name, {}), first) for name in features]))

    return measure


def birthday(state: AccountState) -> int:
    """The day from which an account with usage existed: its `started_on`, or its first day with usage if that is
    earlier or the only one known.
    """
    first, started_on = first_day_of(state.usage), state.attributes.value("started_on")
    return min(first, to_day_text(started_on)) if isinstance(started_on, str) else first


def usage_trend(p: Parameters) -> Measure:
    """Quantity used in the window, relative to the window before; both must be whole.

    Of a window that began before the account did, the quantity is of fewer days, and the ratio would show growth.
    """

    window, features = p.window, p.features

    def measure(state: AccountState, day: int) -> Value:
        usage = state.usage
        if usage.last_day < 0:
            return Missing.NO_USAGE
        first = day - window + 1
        earlier = first - window
        # Its first day alone already tells of most that are too young.
        if earlier < first_day_of(usage) and earlier < birthday(state):
            return Missing.TOO_YOUNG
        before, after = _volumes(usage, earlier, first, features)
        return after / before if before else Missing.NO_EARLIER_USAGE

    return measure


def feature_adoption(p: Parameters) -> Measure:
    """Distinct features used in the window; of given features, the percentage."""

    before, features = p.window - 1, p.features

    def measure(state: AccountState, day: int) -> Value:
        usage = state.usage
        if usage.last_day < 0:
            return Missing.NO_USAGE
        first = day - before
        if features is None:
            return float(_used_since(first, usage.features.values()))
        known = [usage.features[feature] for feature in features if feature in usage.features]
        return 100.0 * _used_since(first, known) / len(features)

    return measure


def _used_since(first: int, features: Iterable[dict[int, int]]) -> int:
    return len([1 for days in features if next(reversed(days)) >= first])


def days_since_last_use(_: Parameters) -> Measure:
    """Days since the last day with usage."""

    def measure(state: AccountState, day: int) -> Value:
        last = state.usage.last_day
        if last < 0:
            return Missing.NO_USAGE
        return float(day - last) if day > last else 0.0

    return measure


def silence_ratio(p: Parameters) -> Measure:
    """Days since the last use, relative to the account's median gap between active days.

    Missing under `min_n` active days, as few gaps are no rhythm yet.
    """
    least = max(p.min_n, LEAST_ACTIVE_DAYS)

    def measure(state: AccountState, day: int) -> Value:
        usage = state.usage
        if usage.last_day < 0:
            return Missing.NO_USAGE
        days = list(usage.days)
        first = day - RHYTHM_DAYS + 1
        if len(days) < least or days[-least] < first:
            return Missing.TOO_FEW_DAYS
        if usage.last_day >= day:
            return 0.0
        active = days if days[0] >= first else days[bisect_left(days, first) :]
        gaps = sorted(map(sub, active[1:], active))
        middle = len(gaps) // 2
        median_gap = gaps[middle] if len(gaps) % 2 else (gaps[middle - 1] + gaps[middle]) / 2
        return float((day - usage.last_day) / median_gap)

    return measure
