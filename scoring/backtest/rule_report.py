"""The worth of alert rules: the churners that each would have announced in time, and what it would have cost."""

from collections import Counter
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from msgspec import Struct, field

from scoring.backtest.outcomes import Decision
from scoring.backtest.report import Share, share

DAYS_PER_WEEK = 7


class Episode(NamedTuple):
    """The firing of a rule for an account: its day, and the last day at whose end it went on; `last` is the day before
    `fired` if it was over within the day.
    """

    fired: int
    last: int
    owner: str | None = None
    """The account's owner on the day it began."""


class AccountEpisodes(NamedTuple):
    """The episodes of a rule for an account, in order, with the decisions about it."""

    episodes: Sequence[Episode]
    decisions: Sequence[Decision]


class OwnerAlerts(Struct, frozen=True):
    """The alerts of a rule that an owner would have got; None are those of accounts without an owner."""

    owner: str | None
    alerts: int
    per_week: float


class RuleReport(Struct, frozen=True):
    """The worth of a rule.

    `churners` are those that churned, and the share that it was firing for on the day of the decision. `precision` is
    the share of the decisions with a firing rule that churned, and `chance` that of all decisions. `lead_days` is the
    median number of days from the beginning of an episode to the churn that it announced; None if it announced none.
    """

    name: str
    churners: Share
    account_days: float
    precision: Share
    chance: Share
    lead_days: float | None
    alerts: int
    alerts_per_week: float
    owners: list[OwnerAlerts]
    """Those with the most alerts first."""


class RuleTally(Struct):
    """Adds up a rule over accounts, one at a time."""

    id: str
    name: str
    _days: int = 0
    _firing_days: int = 0
    _alerts: Counter[str | None] = field(default_factory=Counter)
    """By owner."""
    _fired: list[bool] = field(default_factory=list)
    """For each decision, whether the rule was firing; `_churned` has what became of it."""
    _churned: list[bool] = field(default_factory=list)
    _leads: list[int] = field(default_factory=list)

    def add(self, account: AccountEpisodes, days: int) -> None:
        """Add an account that was judged on `days` days."""
        self._days += days
        self._firing_days += sum(episode.last - episode.fired + 1 for episode in account.episodes)
        self._alerts.update(episode.owner for episode in account.episodes)
        for decision in account.decisions:
            episode = next((each for each in account.episodes if each.fired <= decision.day <= each.last), None)
            self._fired.append(episode is not None)
            self._churned.append(decision.outcome.churned)
            if episode is not None and decision.outcome.churned:
                self._leads.append(decision.outcome.day - episode.fired)

    def report(self, log_days: int) -> RuleReport:
        """The report, for a log of `log_days` days."""
        pairs = list(zip(self._fired, self._churned, strict=True))
        return RuleReport(
            name=self.name,
            churners=share([fired for fired, churned in pairs if churned]),
            account_days=self._firing_days / self._days if self._days else 0.0,
            precision=share([churned for fired, churned in pairs if fired]),
            chance=share(self._churned),
            lead_days=median(self._leads) if self._leads else None,
            alerts=self._alerts.total(),
            alerts_per_week=self._alerts.total() * DAYS_PER_WEEK / log_days,
            owners=self._by_owner(log_days),
        )

    def _by_owner(self, log_days: int) -> list[OwnerAlerts]:
        ranked = sorted(self._alerts.items(), key=lambda each: (-each[1], each[0] is None, each[0] or ""))
        return [OwnerAlerts(owner, alerts, alerts * DAYS_PER_WEEK / log_days) for owner, alerts in ranked]
