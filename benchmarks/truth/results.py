"""Results of `benchmarks.truth`, their table and targets. Pure."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from msgspec import Struct, field

from benchmarks.harness.processes import ROOT
from benchmarks.harness.results import Column, Results, ThresholdVerdict, section, table_of
from benchmarks.harness.terminal import option
from scoring.backtest.calibration.evidence import Evidence, Stratum
from scoring.backtest.discrimination import Interval
from scoring.scorecards.saturation import Saturation
from scoring.state.calendar import to_day_text

DATA = ROOT.parent / "shared" / "data"
CALIBRATED, PLAIN, BOOSTING = "calibrated", "a plain count of events", "LightGBM, all candidates"
ADAPTED = "the scorecard default, adapted"
LEAST_OUT_OF_FOLD, LEAST_BY_TIME = 0.82, 0.75


def _day(text: str) -> str:
    to_day_text(text)
    return text


@dataclass(frozen=True)
class TruthOptions:
    """Rank those who leave by several scores, on a log with known outcomes."""

    events: str = option(str(DATA / "social.events.parquet"), "usage: account, time, type", str, "FILE")
    terms: str = option(str(DATA / "social.subscriptions.parquet"), "terms: account, start, end", str, "FILE")
    lead_days: int = option(3, "days from a decision to the end of the term")
    cut: str = option("2020-04-15", "the day of the split by time", _day, "DAY")
    at_most: int = option(10, "measures of the calibrated scorecard")

    @property
    def name(self) -> str:
        """The name of the log."""
        return Path(self.events).name.partition(".")[0]


class Ranked(Struct):
    """The AUC of one score, of all decisions out of fold, and of those after the cut by a fit to what was before."""

    name: Annotated[str, Column("score")]
    out_of_fold: Annotated[str, Column("AUC, accounts unseen")]
    by_time: Annotated[str, Column("AUC, later decisions")]
    out_of_fold_auc: float
    by_time_auc: float

    @classmethod
    def of(cls, name: str, out_of_fold: Evidence, by_time: Evidence) -> "Ranked":
        """The row of a score's evidence."""
        unseen, later = out_of_fold.auc, by_time.auc
        return cls(name, in_words(unseen), in_words(later), unseen.estimate, later.estimate)


class SaturationRow(Struct):
    """Shares of all decisions by one measure of a scorecard: with full points, with none, and without a value."""

    scorecard: Annotated[str, Column("scorecard")]
    measure: Annotated[str, Column("measure")]
    full: Annotated[float, Column("full points", ".0%")]
    none: Annotated[float, Column("no points", ".0%")]
    missing: Annotated[float, Column("no value", ".0%")]

    @classmethod
    def of(cls, scorecard: str, found: Saturation) -> "SaturationRow":
        """The row of a measure."""
        return cls(scorecard, found.measure, found.full, found.none, found.missing)


class StratumRow(Struct):
    """The calibrated score within a stratum of tenure."""

    tenure: Annotated[str, Column("days of tenure")]
    decisions: Annotated[int, Column("decisions", ",")]
    churned: Annotated[int, Column("churned", ",")]
    auc: Annotated[str, Column("AUC, accounts unseen")]

    @classmethod
    def of(cls, stratum: Stratum) -> "StratumRow":
        """The row of a stratum."""
        tenure = f"{stratum.shortest} to {stratum.longest}"
        return cls(tenure, stratum.decisions, stratum.churned, in_words(stratum.auc))


class TruthResults(Results[TruthOptions]):
    """All of one `make bench-truth`."""

    decisions: int = 0
    churned: int = 0
    later_decisions: int = 0
    later_churned: int = 0
    seconds: float = 0.0
    """Of the calibration, with both of its proofs."""
    ranked: list[Ranked] = field(default_factory=list)
    strata: list[StratumRow] = field(default_factory=list)
    saturations: list[SaturationRow] = field(default_factory=list)
    sentence: str = ""
    scorecard: str = ""

    def sections(self) -> list[str]:
        options = self.options
        if not self.ranked:
            return [section("AUC", self.sentence)]
        title = f"{options.name}: {self.decisions:,} decisions {options.lead_days} days ahead, {self.churned:,} churned"
        after = f"From {options.cut} on: {self.later_decisions:,} decisions, {self.later_churned:,} churned."
        took = f"Calibrated in {self.seconds:.0f} s. {self.sentence}."
        found = [section(title, table_of(self.ranked), after, took)]
        if self.strata:
            found.append(section("Within tenure", table_of(self.strata)))
        if self.saturations:
            found.append(section("Room between accounts", table_of(self.saturations)))
        return found

    def verdicts(self) -> list[ThresholdVerdict]:
        found = [(each.out_of_fold_auc, each.by_time_auc) for each in self.ranked if each.name == CALIBRATED]
        unseen, later = found[0] if found else (None, None)
        return [
            ThresholdVerdict("calibrated, accounts unseen", unseen, least=LEAST_OUT_OF_FOLD, decimals=3),
            ThresholdVerdict("calibrated, later decisions", later, least=LEAST_BY_TIME, decimals=3),
        ]

    def raw(self) -> list[str]:
        return [section("The calibrated scorecard", f"```yaml\n{self.scorecard}```")] if self.scorecard else []


def in_words(interval: Interval) -> str:
    """An estimate with its 95 % interval."""
    return f"{interval.estimate:.3f} [{interval.low:.3f}, {interval.high:.3f}]"
