"""Metrics and the log line of a committed batch: one observation for all its records."""

import structlog

from consumers.fold.batch import Batch
from service.evaluation.evaluate import EvaluationOutcome
from service.observability import metrics

log = structlog.get_logger(__name__)


def observe(batch: Batch, outcome: EvaluationOutcome, seconds: float, now: float) -> None:
    """Record a batch that took `seconds` and was committed at `now`, in seconds since 1970."""
    metrics.BATCH_SECONDS.observe(seconds)
    metrics.BATCH_RECORDS.observe(batch.records)
    for phase, took in outcome.stopwatch.seconds.items():
        metrics.BATCH_PHASE_SECONDS.labels(phase).observe(took)
    for (topic, result), count in batch.outcomes.items():
        metrics.EVENTS.labels(topic, result).inc(count)
    for (topic, _), taken_ms in batch.taken_ms.items():
        metrics.RECORD_LAG_SECONDS.observe(topic, now - taken_ms / 1_000)
    for (topic, _), happened in batch.happened.items():
        metrics.EVENT_LAG_SECONDS.observe(topic, now - happened / 1_000_000)
    log.debug(
        "batch_folded",
        records=batch.records,
        accounts=outcome.accounts,
        late=outcome.late,
        alerts=outcome.alerts,
        dead_letters=len(batch.dead_letters),
        seconds=round(seconds, 3),
    )
