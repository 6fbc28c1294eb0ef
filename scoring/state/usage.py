"""The usage signal: integer counters per day and feature, and the last day of each user."""

from collections.abc import Sequence

from msgspec import Struct, field

from scoring.state.distinct_sample import ALL, shrink
from scoring.state.sorted_dicts import sort_added
from scoring.state.usage_batch import NOBODY, Arrivals, UsageEntry


class UsageState(Struct, array_like=True, gc=False):
    """The state that usage events leave. Holds days up to `newest`; later ones wait in `pending`."""

    newest: int = -1
    """The newest broker day seen; decides retention."""
    newest_at: int = 0
    """Time of the newest event, in microseconds."""
    last_day: int = -1
    """The last day with usage, kept even after its counters have expired; -1 if there never was any."""
    days: dict[int, int] = field(default_factory=dict)
    """Quantity per day."""
    features: dict[str, dict[int, int]] = field(default_factory=dict)
    """Quantity per feature and day."""
    users: dict[int, int] = field(default_factory=dict)
    """Last day per user hash; a sample of the hashes under `users_below`."""
    users_below: int = ALL
    pending: list[UsageEntry] = field(default_factory=list)
    """Events dated after `newest`, in order."""
    first_day: int = -1
    """The first day with usage, kept for ever; -1 if there never was any. Of states that were stored before it was
    recorded: the oldest day that had been retained.
    """


def first_day_of(state: UsageState) -> int:
    """The first day with usage; -1 if there never was any."""
    return state.first_day if state.first_day >= 0 or not state.days else next(iter(state.days))


def fold_usage(state: UsageState, arrived: Arrivals, retention: int) -> None:
    """Fold arrivals into `state`, in place."""
    newest, entries = state.newest, arrived.entries
    if arrived.newest > newest:
        newest = arrived.newest
        advance_usage(state, newest)
    if arrived.latest > newest:
        state.pending = sorted([*state.pending, *[entry for entry in entries if entry[0] > newest]])
        entries = [entry for entry in entries if entry[0] <= newest]
    added = _add(state, entries)
    # First, so that a long history in one batch doesn't thin out the users that stay.
    if state.days and next(iter(state.days)) <= newest - retention:
        _forget(state, newest - retention + 1)
    if added:
        state.users_below = shrink(state.users, state.users_below)


def advance_usage(state: UsageState, newest: int) -> None:
    """Advance the newest day and apply the pending entries up to it."""
    state.newest = newest
    if state.pending and state.pending[0][0] <= newest:
        due = [entry for entry in state.pending if entry[0] <= newest]
        state.pending = state.pending[len(due) :]
        if _add(state, due):
            state.users_below = shrink(state.users, state.users_below)


def _forget(state: UsageState, oldest: int) -> None:
    state.days = {day: count for day, count in state.days.items() if day >= oldest}
    kept = (
        (feature, {day: count for day, count in days.items() if day >= oldest})
        for feature, days in state.features.items()
    )
    state.features = {feature: days for feature, days in kept if days}
    state.users = {user: day for user, day in state.users.items() if day >= oldest}


def _add(state: UsageState, entries: Sequence[UsageEntry]) -> int:
    """Count entries, none of which is dated after `newest`; returns the number of new users."""
    days, features, users, users_below = state.days, state.features, state.users, state.users_below
    known_features, known_users = len(features), len(users)
    newest_at, last_day = state.newest_at, state.last_day
    for day, at, feature, user, quantity in entries:
        feature_days = features.get(feature)
        if feature_days is None:
            features[feature] = feature_days = {}
        if day > last_day:  # above all keys in both, because `last_day` stays when counters expire
            last_day = day
            days[day] = feature_days[day] = quantity
        else:
            if day in days:
                days[day] += quantity
            else:
                _begin(days, day, quantity)
            if day in feature_days:
                feature_days[day] += quantity
            else:
                _begin(feature_days, day, quantity)
        if user != NOBODY and user < users_below and users.get(user, -1) < day:
            users[user] = day
        if at > newest_at:
            newest_at = at
    state.newest_at, state.last_day = newest_at, last_day
    _note_first_day(state)
    if new_features := len(features) - known_features:
        sort_added(features, new_features)
    if new_users := len(users) - known_users:
        sort_added(users, new_users)
    return new_users


def _note_first_day(state: UsageState) -> None:
    """Record the first day after entries were added: it is the first in the counters, or has left them."""
    earliest = next(iter(state.days), state.first_day)
    if earliest < state.first_day or state.first_day < 0:
        state.first_day = earliest


def _begin(counts: dict[int, int], day: int, quantity: int) -> None:
    belongs_last = not counts or day > next(reversed(counts))
    counts[day] = quantity
    if not belongs_last:
        sort_added(counts, 1)
