"""Looks at replayed accounts on the days of their decisions: scores, plain counts, and the rules that were firing."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import attrgetter

from msgspec import Struct, field

from scoring.backtest.horizon import Timing
from scoring.backtest.outcomes import Decision, Decisions, LeftOut, Lifetime, Outcome
from scoring.backtest.report import COUNT_DAYS, Judged
from scoring.backtest.rule_report import AccountEpisodes, Episode, RuleTally
from scoring.rules.conditions import Rule
from scoring.state.calendar import day_of
from service.jobs.backtest.replay_task import ReplayRow


class Judgements(Struct):
    """All decisions of a log in order of account and day, as one policy and the plain count judge them."""

    scores: list[Judged] = field(default_factory=list)
    counts: list[Judged] = field(default_factory=list)
    rules: list[RuleTally] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)


def judge(
    rows: Iterable[ReplayRow], outcomes: Sequence[Outcome], log_ends: int, timing: Timing, rules: Sequence[Rule]
) -> Judgements:
    """Judge the decisions before outcomes by a log's replay, which ends on the day `log_ends`.

    `rules` are those to add up. Outcomes without a decision are in `left_out`, with their reasons.
    """
    found = Judgements(rules=[RuleTally(rule.id, rule.name) for rule in rules])
    waiting: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        waiting[outcome.account_id].append(outcome)
    for account, group in groupby(rows, key=attrgetter("account")):
        days = list(group)
        its = waiting.pop(account, [])
        decisions = timing.decide(its, {account: _lifetime(days)}, log_ends)
        _add(found, days, decisions, its)
    unknown = [outcome for its in waiting.values() for outcome in its]
    found.left_out += timing.decide(unknown, {}, log_ends).left_out
    return found


def _lifetime(days: Sequence[ReplayRow]) -> Lifetime:
    return Lifetime(days[0].day, max((row.day for row in days if row.events), default=days[0].day))


def _add(found: Judgements, days: Sequence[ReplayRow], decisions: Decisions, outcomes: Sequence[Outcome]) -> None:
    found.left_out += decisions.left_out
    by_day = {row.day: row for row in days}
    for decision in decisions.made:
        row = by_day[decision.day]
        found.scores.append(Judged(decision, row.score, row.band))
        found.counts.append(Judged(decision, _count(by_day, decision)))
    last = _last_day(days, outcomes)
    lived = sum(row.day <= last for row in days)
    for tally in found.rules:
        tally.add(AccountEpisodes(_episodes(tally.id, days, last), decisions.made), lived)


def _count(by_day: dict[int, ReplayRow], decision: Decision) -> float:
    window = range(decision.day - COUNT_DAYS + 1, decision.day + 1)
    return float(sum(by_day[day].events for day in window if day in by_day))


def _last_day(days: Sequence[ReplayRow], outcomes: Sequence[Outcome]) -> int:
    """The last day on which rules matter: that of the churn, if it is the account's last outcome."""
    latest = max(outcomes, key=attrgetter("day"), default=None)
    return latest.day if latest is not None and latest.churned else days[-1].day


def _episodes(rule: str, days: Sequence[ReplayRow], last: int) -> list[Episode]:
    """The episodes of a rule up to the day `last`."""
    episodes: list[Episode] = []
    fired: int | None = None
    owner: str | None = None
    for crossing in (each for row in days for each in row.crossings if each.rule == rule):
        day = day_of(crossing.at)
        if crossing.state == "firing":
            fired, owner = day, crossing.owner
        elif fired is not None:
            episodes.append(Episode(fired, day - 1, owner))
            fired = None
    if fired is not None:
        episodes.append(Episode(fired, days[-1].day, owner))
    return [each._replace(last=min(each.last, last)) for each in episodes if each.fired <= last]
