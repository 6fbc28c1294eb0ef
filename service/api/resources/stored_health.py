"""The answer from an account's stored row, if that is still valid. Pure."""

import msgspec

from scoring.rules.policy import Policy
from scoring.scorecards.readings import decode_readings
from scoring.scorecards.scorecard import Evaluation
from scoring.state.calendar import to_day
from service.api.resources.health_document import FiringAlert, Freshness, Moment, trend
from service.storage.accounts.score_codec import decode_override
from service.storage.accounts.score_reader import StoredScore

_alerts = msgspec.json.Decoder(list[FiringAlert])


def stored_moment(stored: StoredScore, policy: Policy) -> Moment | None:
    """The account as it is now; None if that has to be computed."""
    evaluation = _still_good(stored, policy)
    if evaluation is None or stored.evaluated_at is None:
        return None
    return Moment(
        evaluation,
        evaluation.day,
        stored.evaluated_at,
        trend(evaluation.score, stored.week_ago, stored.month_ago),
        decode_override(stored.override),
    )


def _still_good(stored: StoredScore, policy: Policy) -> Evaluation | None:
    """The stored evaluation; None if another scorecard is or may be in force, if its day has ended, or if it is of a
    future day.
    """
    if stored.is_due or stored.is_ahead or stored.day is None or stored.readings is None or policy.digest is not None:
        return None
    card = policy.scorecard(stored.scorecard, stored.scorecard_version)
    if card is None:
        return None
    readings = decode_readings(stored.readings)
    return Evaluation(stored.score, stored.band, stored.coverage, to_day(stored.day), card, readings)


def freshness(stored: StoredScore) -> Freshness:
    """The times of the newest events."""
    return Freshness(stored.usage_at, stored.ticket_at, stored.survey_at)


def firing_alerts(stored: StoredScore) -> list[FiringAlert]:
    """The alerts that fire now."""
    return _alerts.decode(stored.firing) if stored.firing else []
