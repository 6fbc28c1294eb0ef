"""Measures of an account's attributes."""

from scoring.scorecards.measure import Measure, Missing, Parameters, Value
from scoring.state.account_state import AccountState
from scoring.state.calendar import to_day_text


def tenure_days(_: Parameters) -> Measure:
    """Days since the account started."""

    def measure(state: AccountState, day: int) -> Value:
        started_on = state.attributes.value("started_on")
        return float(day - to_day_text(started_on)) if isinstance(started_on, str) else Missing.NO_START

    return measure


def days_to_renewal(_: Parameters) -> Measure:
    """Days until the renewal."""

    def measure(state: AccountState, day: int) -> Value:
        renews_on = state.attributes.value("renews_on")
        return float(to_day_text(renews_on) - day) if isinstance(renews_on, str) else Missing.NO_RENEWAL

    return measure
