"""The catalogue of measures that scorecards choose from."""

from scoring.scorecards import attribute_measures, survey_measures, ticket_measures, usage_measures
from scoring.scorecards.measure import Definition, MeasureSignal


def _on(*signals: MeasureSignal) -> frozenset[MeasureSignal]:
    return frozenset(signals)


CATALOGUE: dict[str, Definition] = {
    "active_users": Definition(usage_measures.active_users, _on("usage"), 1),
    "active_days": Definition(usage_measures.active_days, _on("usage"), 1),
    "seat_utilization": Definition(
        usage_measures.seat_utilization, _on("usage", "attributes"), 1, attributes=frozenset({"seats"})
    ),
    "usage_volume": Definition(usage_measures.usage_volume, _on("usage"), 1, takes_features=True),
    "usage_trend": Definition(
        usage_measures.usage_trend,
        _on("usage", "attributes"),
        2,
        takes_features=True,
        attributes=frozenset({"started_on"}),
    ),
    "feature_adoption": Definition(usage_measures.feature_adoption, _on("usage"), 1, takes_features=True),
    "days_since_last_use": Definition(usage_measures.days_since_last_use, _on("usage"), better="low"),
    "silence_ratio": Definition(
        usage_measures.silence_ratio, _on("usage"), least_n=usage_measures.LEAST_ACTIVE_DAYS, better="low"
    ),
    "open_tickets": Definition(ticket_measures.open_tickets, _on("tickets"), takes_priorities=True, better="low"),
    "oldest_open_ticket_days": Definition(ticket_measures.oldest_open_ticket_days, _on("tickets"), better="low"),
    "tickets_created": Definition(ticket_measures.tickets_created, _on("tickets"), 1, better="low"),
    "resolution_hours": Definition(ticket_measures.resolution_hours, _on("tickets"), 1, least_n=1, better="low"),
    "reopen_rate": Definition(ticket_measures.reopen_rate, _on("tickets"), 1, least_n=1, better="low"),
    "ticket_satisfaction": Definition(ticket_measures.ticket_satisfaction, _on("tickets"), 1, least_n=1),
    "nps": Definition(survey_measures.nps, _on("surveys"), 1, least_n=1),
    "csat": Definition(survey_measures.mean_answer("csat"), _on("surveys"), 1, least_n=1),
    "ces": Definition(survey_measures.mean_answer("ces"), _on("surveys"), 1, least_n=1),
    "days_since_survey": Definition(survey_measures.days_since_survey, _on("surveys"), better="low"),
    "tenure_days": Definition(attribute_measures.tenure_days, _on("attributes"), attributes=frozenset({"started_on"})),
    "days_to_renewal": Definition(
        attribute_measures.days_to_renewal, _on("attributes"), attributes=frozenset({"renews_on"})
    ),
}
