"""One account in detail, the one that is chosen above: its score over time, what it is made of, alerts, attributes."""

from deploy.grafana import parts
from deploy.grafana.operators import Panels
from deploy.grafana.parts import HALF, MONEY, QUARTER, THIRD, SqlQuery, lines, listing, number

ONE = "account_id = ${account:sqlstring}"


def panels() -> Panels:
    """The panels of the row."""
    return [
        number("Score", "The current one.", _now("round(score::numeric, 1)"), unit="none", span=QUARTER, spark=False),
        number("30 days ago", "", _now("round(score_30d_ago::numeric, 1)"), unit="none", span=QUARTER, spark=False),
        number("Revenue", "Per year.", _now("coalesce(arr, 0)"), unit=MONEY, span=QUARTER, spark=False),
        number("Firing alerts", "", _now("firing_alerts"), unit="none", span=QUARTER, limits=(1, 2), spark=False),
        lines(
            "Score",
            "At the end of each day: the effective score, and the computed one.",
            [SqlQuery(_history("score"), as_series=True), SqlQuery(_history("computed_score"), as_series=True)],
            unit="none",
            span=parts.TWO_THIRDS,
        ).max(100),
        listing("Attributes", "Attributes from its events, and its state.", SqlQuery(_ATTRIBUTES), span=THIRD),
        listing(
            "Measures",
            "The measures of its scorecard; for a missing value, the reason.",
            SqlQuery(
                'SELECT name, value, missing, window_days AS "window", weight, day, scorecard'  # noqa: S608 - own text
                f" FROM analytics.account_measures WHERE {ONE} ORDER BY weight DESC, name"
            ),
            span=HALF,
        ),
        listing(
            "Alerts",
            "In the time range, with the measures that moved the score most.",
            SqlQuery(
                "SELECT created_at AS time, rule, state, band, round(score::numeric, 1) AS score,"  # noqa: S608 - own text
                " (SELECT string_agg(driver ->> 'measure' || ' ' || (driver ->> 'delta'), ', ')"
                ' FROM jsonb_array_elements(drivers) AS driver) AS drivers, acknowledged_by AS "acknowledged by"'
                f" FROM analytics.alerts WHERE {ONE} AND $__timeFilter(created_at) ORDER BY created_at DESC LIMIT 100"
            ),
            span=HALF,
        ),
    ]


def _now(what: str) -> SqlQuery:
    return SqlQuery(f"SELECT {what} AS value FROM analytics.account_health WHERE {ONE}")  # noqa: S608 - own text


def _history(what: str) -> str:
    # By the bounds of runs too, so that months before the range aren't read.
    return (
        f"SELECT day::timestamp AT TIME ZONE 'UTC' AS time, '{what.replace('_', ' ')}' AS metric, {what} AS value"  # noqa: S608 - own text
        f" FROM analytics.account_health_daily WHERE {ONE} AND run_last_day >= $__timeFrom()::date"
        " AND run_first_day <= $__timeTo()::date AND day BETWEEN $__timeFrom()::date AND $__timeTo()::date ORDER BY day"
    )


_ATTRIBUTES = (
    "SELECT key AS attribute, value FROM analytics.account_health AS account"  # noqa: S608 - own text
    " CROSS JOIN LATERAL jsonb_each_text(jsonb_build_object("
    "'id', account_id, 'name', name, 'segment', segment, 'stage', stage, 'owner', owner, 'seats', seats,"
    " 'started on', started_on, 'renews on', renews_on, 'churned on', churned_on, 'parent', parent_id, 'band', band,"
    " 'scorecard', scorecard || ' ' || scorecard_version, 'set by hand because', override_reason,"
    " 'last usage', last_usage_at, 'last ticket', last_ticket_at, 'last survey', last_survey_at)) AS attribute"
    f" WHERE {ONE} AND value IS NOT NULL ORDER BY key"
)
