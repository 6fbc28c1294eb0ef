"""A calibration of an event log: the draft, its proof, and everything that the report says of them."""

from collections.abc import Sequence
from datetime import date

from msgspec import Struct
from msgspec.structs import replace

from scoring.backtest.calibration.calibrate import STEPS, Calibration, Probabilities, calibrate
from scoring.backtest.calibration.evidence import Evidence, Stratum
from scoring.backtest.calibration.fit import AT_MOST
from scoring.backtest.calibration.readings import Readings
from scoring.backtest.horizon import Timing
from scoring.backtest.in_sample import in_sample_warning
from scoring.backtest.report import Share, share
from scoring.scorecards.calibration import ScorecardCalibration
from scoring.scorecards.document import DEFAULT, AppliesTo, ScorecardDocument
from scoring.state.calendar import day_of, from_day
from service.jobs.backtest.backtest import LeftOutGroup, left_out_groups, left_out_line
from service.jobs.backtest.partitioned_log import PartitionedLog
from service.jobs.backtest.run import Engine
from service.jobs.calibration.material import Request, read_material
from service.jobs.load.terminal import bar
from service.runtime.errors import HealthError

PROBABILITY_DECIMALS = 5
LONGEST_SOURCE = 200


class Draft(Struct, frozen=True):
    """The scorecard to be drafted: its name and audience, the most measures, and the day on which this is.

    `source` says what it is calibrated on. `cut` is the day of the split by time; by default a third of the churn lies
    after it.
    """

    today: date
    source: str
    name: str = DEFAULT
    applies_to: AppliesTo | None = None
    at_most: int = AT_MOST
    cut: int | None = None


class CalibrationReport(Struct, frozen=True):
    """The result of a calibration. In JSON, what can't be computed is null.

    `by_time` is the headline. `tried` candidates were read, `told_apart` of which differ between accounts and from each
    other. `scorecard` is None where there is nothing to publish.
    """

    first_day: date
    last_day: date
    lead_days: int
    horizon_days: int | None
    accounts: int
    events: int
    skipped_rows: int
    decisions: Share
    churned_accounts: int
    stayed_accounts: int
    left_out: list[LeftOutGroup]
    tried: int
    told_apart: int
    recommended: bool
    verdict: str
    provisional: bool
    in_force_warning: str | None
    """The reason why the scorecard in force looks better here than it is, if it was fitted to these outcomes."""
    cut: date | None
    by_time: Evidence | None
    out_of_fold: Evidence | None
    strata: list[Stratum]
    probabilities: Probabilities | None
    scorecard: ScorecardDocument | None


def calibrate_log(log: PartitionedLog, request: Request, draft: Draft, engine: Engine) -> CalibrationReport:
    """Calibrate a scorecard on a log and its outcomes; bars show the progress.

    Raises `HealthError` if no outcome can be judged, or there are too many.
    """
    known, others, left_out, tried = read_material(log, request, engine)
    groups = left_out_groups(left_out)
    if not len(known.churned):
        raise HealthError(
            "None of the outcomes can be judged" + "".join(f"; {left_out_line(group)}" for group in groups),
            "Give a log that reaches from before the decisions to after the outcomes, with the same account ids; and "
            "with account events, if the scorecard isn't for all accounts",
        )
    with bar("Fitting", STEPS) as advance:
        found = calibrate(
            known,
            others,
            name=draft.name,
            applies_to=draft.applies_to,
            at_most=draft.at_most,
            cut=draft.cut,
            advance=advance,
        )
    return CalibrationReport(
        first_day=from_day(log.contents.first_day),
        last_day=from_day(day_of(log.contents.newest)),
        lead_days=request.timing.lead_days,
        horizon_days=request.timing.horizon_days,
        accounts=log.contents.accounts,
        events=log.contents.events,
        skipped_rows=log.contents.skipped,
        decisions=share(known.churned.tolist()),
        churned_accounts=found.limits.churned_accounts,
        stayed_accounts=found.limits.stayed_accounts,
        left_out=groups,
        tried=tried,
        told_apart=len(known.candidates),
        recommended=found.verdict.recommended,
        verdict=found.verdict.sentence,
        provisional=found.limits.provisional,
        in_force_warning=in_sample_warning(
            (card.document for card in request.policy.scorecards),
            from_day(int(known.outcome_days.min())),
            from_day(int(known.outcome_days.max())),
            "The scorecard in force",
        ),
        cut=None if found.cut is None else from_day(found.cut),
        by_time=found.by_time,
        out_of_fold=found.out_of_fold,
        strata=found.strata,
        probabilities=found.probabilities,
        scorecard=_with_calibration(found, known, draft, request.timing),
    )


def _with_calibration(found: Calibration, known: Readings, draft: Draft, timing: Timing) -> ScorecardDocument | None:
    """The draft with the probability of churn at its scores, if they may be shown."""
    if found.document is None or found.probabilities is None:
        return found.document
    calibration = ScorecardCalibration(
        calibrated_on=draft.today,
        source=draft.source,
        first_day=from_day(int(known.outcome_days.min())),
        last_day=from_day(int(known.outcome_days.max())),
        lead_days=timing.lead_days,
        horizon_days=timing.horizon_days,
        decisions=len(known.churned),
        churned=int(known.churned.sum()),
        probabilities=[(score, round(chance, PROBABILITY_DECIMALS)) for score, chance in found.probabilities.by_score],
    )
    return replace(found.document, calibration=calibration)


def source_of(files: Sequence[str]) -> str:
    """The names of a log's files in the text that a scorecard keeps; without files, it came from the topics."""
    named = ", ".join(files) or "the topics"
    return named if len(named) <= LONGEST_SOURCE else f"{named[: LONGEST_SOURCE - 1]}…"
