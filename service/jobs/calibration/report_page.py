"""A calibration as one HTML page that needs nothing else: sentences, tables, and charts as inline SVG."""

from collections.abc import Iterator

from scoring.backtest.calibration.calibrate import Probabilities
from service.jobs.backtest.page_parts import bullets, chart, curve, heading, paragraph, share_chart, table, whole_page
from service.jobs.calibration.calibration import CalibrationReport
from service.jobs.calibration.report_text import (
    CALIBRATED,
    by_score,
    draft,
    findings,
    group_name,
    groups,
    material,
    proofs,
    ranking,
    strata,
)


def page(found: CalibrationReport) -> str:
    """The whole page."""
    return whole_page("Calibration", _parts(found))


def _parts(found: CalibrationReport) -> Iterator[str]:
    verdict, *grounds = findings(found)
    yield f"<strong>{paragraph(verdict)}</strong>"
    yield bullets(grounds)
    for name, proof in proofs(found):
        rows = [(CALIBRATED, proof.auc), *proof.others.items()]
        yield chart(f"AUC on {name} with 95 % interval; the line is chance", rows, 0.5)
        yield table(*ranking(name, proof))
    if found.strata:
        yield table(*strata(found))
    if found.scorecard is not None:
        yield heading("The draft")
        yield table(*draft(found.scorecard))
    if found.probabilities is not None:
        yield heading("The probability of churn")
        yield from _probabilities(found.probabilities)
    yield heading("What it was fitted to")
    yield bullets(material(found))


def _probabilities(found: Probabilities) -> Iterator[str]:
    yield curve("Probability of churn by score; the line is that of all", found.by_score, found.base_rate)
    yield table(*by_score(found))
    observed = [(group_name(each), each.observed) for each in found.groups]
    expected = [each.expected for each in found.groups]
    yield share_chart(
        "Share that churned by score, with 95 % interval; the ring is what was expected", observed, expected
    )
    yield table(*groups(found))
