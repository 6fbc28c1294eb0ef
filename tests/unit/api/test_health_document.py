"""The health answer: names, weights and windows come from the scorecard, a veto is an entry of its own."""

from datetime import UTC, date, datetime

import msgspec

from scoring.scorecards.document import parse
from scoring.scorecards.override import Override
from scoring.scorecards.scorecard import compile_scorecard, evaluate
from scoring.state.account_state import AccountState
from scoring.state.calendar import start_of, to_day
from scoring.state.usage import UsageState
from service.api.resources.health_document import document
from service.evaluation.current_health import CurrentHealth
from service.storage.accounts.score_reader import Freshness

DAY = to_day(date(2030, 1, 31))
NOW = datetime(2030, 1, 31, 9, tzinfo=UTC)
OVERRIDE = Override("Their champion left", "Dana", start_of(DAY), band="red")
DOCUMENT = {
    "name": "default",
    "measures": [
        {"name": "silence", "measure": "days_since_last_use", "weight": 3, "curve": [[0, 100], [10, 0]],
         "veto": {"below": 50, "cap": 20}},
        {"measure": "active_days", "window": 7, "weight": 1, "curve": [[0, 100], [7, 100]]},
        {"measure": "nps", "window": 30, "weight": 2, "curve": [[-100, 0], [100, 100]]},
    ],
}  # fmt: skip


def test_a_vetoed_score_with_something_missing() -> None:
    card = compile_scorecard(parse(DOCUMENT, 92), 4)
    evaluation = evaluate(card, AccountState(usage=UsageState(newest=DAY, last_day=DAY - 6)), DAY)
    current = CurrentHealth("acme", evaluation, DAY, NOW, 25.5, None, OVERRIDE, Freshness(NOW, None, None))
    health = msgspec.to_builtins(document(current))
    measures = {measure.pop("name"): measure for measure in health["measures"]}

    assert measures["silence"] == {
        "measure": "days_since_last_use", "window": None, "value": 6.0, "score": 40.0, "weight": 3.0,
        "contribution": 30.0, "missing": None,
    }  # fmt: skip
    assert measures["nps"] == {
        "measure": "nps", "window": 30, "value": None, "score": None, "weight": 2.0, "contribution": None,
        "missing": "no_answers",
    }  # fmt: skip
    assert measures["veto:silence"] == {
        "measure": "days_since_last_use", "window": None, "value": None, "score": None, "weight": 0.0,
        "contribution": -35.0, "missing": None,
    }  # fmt: skip
    assert sum(measure["contribution"] or 0 for measure in measures.values()) == health["score"] == 20.0
    assert (health["day"], health["scorecard"]) == ("2030-01-31", {"name": "default", "version": 4})
    assert health["trend"] == {"d7": -5.5, "d30": None}
    assert health["override"] == {
        "score": None, "band": "red", "reason": "Their champion left", "author": "Dana",
        "set_at": "2030-01-31T00:00:00Z", "expires_at": None,
    }  # fmt: skip
    assert health["drivers"] == [{"measure": "silence", "delta": -45.0}]
    assert health["freshness"] == {"usage": "2030-01-31T09:00:00Z", "ticket": None, "survey": None}
