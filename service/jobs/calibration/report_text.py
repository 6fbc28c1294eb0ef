"""The sentences and tables of a calibration as text, for the terminal and the page alike."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from scoring.backtest.calibration.calibrate import Probabilities
from scoring.backtest.calibration.evidence import Evidence
from scoring.backtest.calibration.honesty import LEAST_FOR_PROBABILITIES
from scoring.backtest.calibration.probability import CalibrationGroup
from scoring.backtest.discrimination import Interval
from scoring.scorecards.document import MeasureDocument, ScorecardDocument
from service.jobs.backtest.backtest import left_out_line
from service.jobs.backtest.report_text import SHARES, interval, percent
from service.jobs.calibration.calibration import CalibrationReport

CALIBRATED = "calibrated"
LATER, UNSEEN = "later outcomes", "accounts unseen"
"""The two proofs: a fit to the past on what came after, and fits to other accounts."""
TABLE_STEP = 10
"""The points between the scores of the table; the draft has more."""


class TextTable(NamedTuple):
    """A table of numbers in words."""

    title: str
    columns: Sequence[str]
    rows: Iterable[Sequence[str]]


def material(found: CalibrationReport) -> Iterator[str]:
    """The calibration's material in sentences, and what was left out of it."""
    within = "" if found.horizon_days is None else f" within {found.horizon_days} days"
    yield (
        f"{found.events:,} events of {found.accounts:,} accounts, {found.first_day} to {found.last_day}. "
        f"{found.decisions.decisions:,} decisions {found.lead_days} days ahead; {found.decisions.churned:,} churned"
        f"{within}, of {found.churned_accounts:,} accounts. {found.told_apart:,} of {found.tried:,} candidate measures "
        "tell accounts apart."
    )
    if found.skipped_rows:
        yield f"{found.skipped_rows:,} rows of the log that can't be events are left out."
    yield from map(left_out_line, found.left_out)


def findings(found: CalibrationReport) -> Iterator[str]:
    """The advice, and what it rests on; the split by time comes first."""
    yield f"{found.verdict}."
    if found.by_time is not None:
        yield (
            f"Fitted to the outcomes before {found.cut} alone, and tried on the {found.by_time.decisions:,} decisions "
            f"from then on, {found.by_time.churned:,} of which churned: {_pairs(found.by_time.auc)}"
        )
    elif found.out_of_fold is not None:
        yield f"There are too few outcomes before {found.cut}, or after it, to try it on what came later."
    if found.out_of_fold is not None:
        yield f"Tried on accounts that it wasn't fitted to: {_pairs(found.out_of_fold.auc)}"
    if found.out_of_fold is not None and found.in_force_warning is not None:
        yield f"{found.in_force_warning}."
    if found.scorecard is not None and found.probabilities is None:
        yield _no_probabilities(found)


def _pairs(auc: Interval) -> str:
    return (
        "of an account that left and one that stayed, it rates the one that left lower in "
        f"{auc.estimate:.0%} of all cases ({auc.low:.0%} to {auc.high:.0%}; chance is 50%)."
    )


def _no_probabilities(found: CalibrationReport) -> str:
    if found.churned_accounts < LEAST_FOR_PROBABILITIES:
        return (
            f"Scores are shown as no probabilities, and the bands are the usual ones: that takes "
            f"{LEAST_FOR_PROBABILITIES} accounts that churned."
        )
    return "Scores are shown as no probabilities: on accounts that it wasn't fitted to, lower ones didn't churn more."


def proofs(found: CalibrationReport) -> Iterator[tuple[str, Evidence]]:
    """The proofs by name, the headline first; none where nothing was fitted."""
    if found.by_time is not None:
        yield LATER, found.by_time
    if found.out_of_fold is not None:
        yield UNSEEN, found.out_of_fold


def ranking(name: str, proof: Evidence) -> TextTable:
    """The ranking of those who leave by the draft, and by what it is compared with."""
    rows = [(CALIBRATED, interval(proof.auc), "")]
    rows += [
        (other, interval(proof.others[other]), interval(proof.differences[other], "+.3f")) for other in proof.others
    ]
    return TextTable(
        f"Ranking on {name} (AUC; 0.5 is chance), with 95 % intervals by account",
        ("score", "AUC", "calibrated is above by"),
        rows,
    )


def strata(found: CalibrationReport) -> TextTable:
    """The ranking among accounts of a similar age."""
    return TextTable(
        "Ranking among accounts of a similar age, unseen by the fit: 0.5 if a score only knows the age",
        ("days since the start", "decisions", "churned", "AUC"),
        [
            (f"{each.shortest:,} to {each.longest:,}", f"{each.decisions:,}", f"{each.churned:,}", interval(each.auc))
            for each in found.strata
        ],
    )


def draft(document: ScorecardDocument) -> TextTable:
    """The measures of the draft."""
    return TextTable(
        "The draft: measures by weight",
        ("measure", "weight", "no points", "full points", "without a value"),
        [_measure(each) for each in document.measures],
    )


def by_score(found: Probabilities) -> TextTable:
    """The probability of churn by score."""
    return TextTable(
        f"Probability of churn by score; of all decisions {found.base_rate:.1%} churned",
        ("score", "probability of churn"),
        [(str(score), f"{chance:.1%}") for score, chance in found.by_score if score % TABLE_STEP == 0],
    )


def groups(found: Probabilities) -> TextTable:
    """The expected churn beside the observed one."""
    return TextTable(
        "What was expected of accounts unseen by the fit, and what became of them",
        ("score", "expected", *SHARES),
        [
            (
                group_name(each),
                f"{each.expected:.1%}",
                f"{each.decisions:,}",
                f"{each.churned:,}",
                percent(each.observed),
            )
            for each in found.groups
        ],
    )


def group_name(group: CalibrationGroup) -> str:
    """The scores of a group."""
    return f"{group.lowest:.1f} to {group.highest:.1f}"


def _measure(each: MeasureDocument) -> tuple[str, ...]:
    by_score = sorted(each.curve, key=lambda point: point[1])
    rising = each.curve[0][1] < each.curve[-1][1]
    worst, best = by_score[0][0], by_score[-1][0]
    below, above = ("from", "up to") if rising else ("up to", "from")
    return (
        each.title,
        f"{each.weight:.1f}",
        f"{above} {worst:g}",
        f"{below} {best:g}",
        "no points" if each.missing == "worst" else "half",
    )
