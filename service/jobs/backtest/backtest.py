"""A back-test: what scorecards and rules would have said of the accounts of a log, against what became of them."""

from collections.abc import Mapping, Sequence
from datetime import date

from msgspec import Struct
from msgspec.structs import replace

from scoring.backtest.horizon import Timing
from scoring.backtest.in_sample import in_sample_warning
from scoring.backtest.outcomes import LeftOut, Outcome
from scoring.backtest.report import Judged, ScoreReport, Share, score_reports, share
from scoring.backtest.rule_report import RuleReport
from scoring.rules.policy import Policy
from scoring.state.calendar import day_of, from_day
from service.jobs.backtest.judgements import Judgements, judge
from service.jobs.backtest.partitioned_log import PartitionedLog
from service.jobs.backtest.run import Engine, replay_log
from service.jobs.load.terminal import ProgressBar, bar, readable
from service.runtime.errors import HealthError

MOST_EXAMPLES = 5


class LeftOutGroup(Struct, frozen=True):
    """Outcomes that were left out for the same reason, and some of their accounts."""

    reason: str
    outcomes: int
    accounts: list[str]


class Backtest(Struct, frozen=True):
    """The result of a back-test. In JSON, what can't be computed is null."""

    first_day: date
    last_day: date
    lead_days: int
    horizon_days: int | None
    accounts: int
    events: int
    skipped_rows: int
    decisions: Share
    left_out: list[LeftOutGroup]
    scores: list[ScoreReport]
    rules: list[RuleReport]


def backtest(
    log: PartitionedLog,
    policies: Mapping[str, Policy],
    outcomes: Sequence[Outcome],
    engine: Engine,
    timing: Timing,
    progress: ProgressBar = bar,
) -> Backtest:
    """Judge all decisions of a log by each policy; the rules are those of the first.

    `progress` shows the replay by each policy. Raises `HealthError` if no decision churned, or none stayed.
    """
    log_ends = day_of(log.contents.newest)
    judged: dict[str, Judgements] = {}
    for name, policy in policies.items():
        with progress(f"Replaying by {readable(name)}", log.contents.events) as advance:
            rows = replay_log(log, policy, engine, advance=advance)
            judged[name] = judge(rows, outcomes, log_ends, timing, policy.rules)
    first = next(iter(judged.values()))
    left_out = left_out_groups(first.left_out)
    _require_both(first.scores, left_out)
    return Backtest(
        first_day=from_day(log.contents.first_day),
        last_day=from_day(log_ends),
        lead_days=timing.lead_days,
        horizon_days=timing.horizon_days,
        accounts=log.contents.accounts,
        events=log.contents.events,
        skipped_rows=log.contents.skipped,
        decisions=share([each.decision.outcome.churned for each in first.scores]),
        left_out=left_out,
        scores=_with_warnings(
            score_reports({name: found.scores for name, found in judged.items()}, first.counts), policies, first.scores
        ),
        rules=[tally.report(log_ends - log.contents.first_day + 1) for tally in first.rules],
    )


def _with_warnings(
    reports: Sequence[ScoreReport], policies: Mapping[str, Policy], judged: Sequence[Judged]
) -> list[ScoreReport]:
    """The reports; the verdict says so where a scorecard was fitted to the outcomes that judge it."""
    days = [each.decision.outcome.day for each in judged]
    first_day, last_day = from_day(min(days)), from_day(max(days))
    found = []
    for report in reports:
        cards = policies[report.name].scorecards if report.name in policies else ()
        warning = in_sample_warning((card.document for card in cards), first_day, last_day)
        found.append(replace(report, verdict=f"{report.verdict} {warning}.") if warning else report)
    return found


def left_out_groups(left_out: Sequence[LeftOut]) -> list[LeftOutGroup]:
    """The reasons, the most frequent first."""
    by_reason: dict[str, list[str]] = {}
    for each in left_out:
        by_reason.setdefault(each.reason, []).append(each.outcome.account_id)
    groups = [
        LeftOutGroup(reason, len(accounts), sorted(set(accounts))[:MOST_EXAMPLES])
        for reason, accounts in by_reason.items()
    ]
    return sorted(groups, key=lambda group: (-group.outcomes, group.reason))


def _require_both(judged: Sequence[Judged], left_out: Sequence[LeftOutGroup]) -> None:
    for churned, what in ((True, "churned"), (False, "stayed")):
        if not any(each.decision.outcome.churned == churned for each in judged):
            why = "".join(f"; {left_out_line(group)}" for group in left_out)
            raise HealthError(
                f"None of the outcomes that can be judged {what}{why}",
                "Give a log that reaches from before the decisions to after the outcomes, with the same account ids",
            )


def left_out_line(group: LeftOutGroup) -> str:
    """The group in words, for a terminal."""
    noun = "outcome is" if group.outcomes == 1 else "outcomes are"
    more = ", …" if len(group.accounts) == MOST_EXAMPLES else ""
    accounts = ", ".join(readable(account) for account in group.accounts)
    return f"{group.outcomes:,} {noun} left out: {group.reason} ({accounts}{more})"
