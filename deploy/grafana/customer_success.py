"""The dashboard for customer success: the portfolio, its movers, the accounts at risk, and one account in detail."""

from collections.abc import Iterator

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import VariableModel, VariableOption, VariableRefresh, VariableSort

from deploy.grafana import one_account, parts
from deploy.grafana.operators import Panels
from deploy.grafana.parts import (
    HALF,
    MONEY,
    POSTGRES,
    THIRD,
    TODAY,
    SqlQuery,
    in_colours_of_bands,
    lines,
    listing,
    numbers,
)

CHOSEN = "coalesce(segment, 'none') IN (${segment:sqlstring}) AND coalesce(owner, 'nobody') IN (${owner:sqlstring})"
"""The accounts of the segments and owners that are chosen above; those that have left aren't shown."""
HERE = f"(churned_on IS NULL OR churned_on > {TODAY}) AND {CHOSEN}"
ALL = VariableOption(selected=True, text=["All"], value=["$__all"])
RISKY = "band IN ('red', 'yellow')"
UNITS = {"score": "none", "arr": MONEY, "change": "none"}


def build() -> dashboard.Dashboard:
    """The dashboard."""
    made = (
        dashboard.Dashboard("account-health: customer success")
        .uid("account-health-customer-success")
        .description("Health of all accounts, from the views of the schema analytics. Overrides apply.")
        .tags(["account-health"])
        .time("now-90d", "now")
        .refresh(False)  # it reads all accounts, so only when somebody looks
        .timezone("utc")
    )
    for variable in _variables():
        made.with_variable(variable)
    for title, panels in _rows():
        made.with_row(dashboard.Row(title))
        for panel in panels:
            made.with_panel(panel)
    return made


def _variables() -> Iterator[Builder[VariableModel]]:
    yield parts.source("postgres", POSTGRES, "health-postgres", "Postgres")
    for name, label, nothing in (("segment", "Segment", "none"), ("owner", "Owner", "nobody")):
        values = f"SELECT DISTINCT coalesce({name}, '{nothing}') FROM analytics.account_health ORDER BY 1"  # noqa: S608 - own text
        yield _asked(name, label, values).multi(True).include_all(True).current(ALL)
    yield _asked(
        "account",
        "Account",
        "SELECT account_id AS __value, coalesce(name || ' (' || account_id || ')', account_id) AS __text"
        " FROM analytics.account_health WHERE account_id ILIKE '$__searchFilter' OR name ILIKE '$__searchFilter'"
        " ORDER BY arr DESC NULLS LAST, account_id LIMIT 1000",
    )


def _asked(name: str, label: str, sql: str) -> dashboard.QueryVariable:
    variable = dashboard.QueryVariable(name).label(label).datasource(POSTGRES).query(sql)
    return variable.refresh(VariableRefresh.ON_DASHBOARD_LOAD).sort(VariableSort.DISABLED)


def _rows() -> Iterator[tuple[str, Panels]]:
    yield "Portfolio", _portfolio()
    yield "Movers", _movers()
    yield "At risk", _at_risk()
    yield "Account: $account", one_account.panels()


def _portfolio() -> Panels:
    accounts = lines(
        "Accounts by band",
        "By their band at the end of each day, in today's segments. The choice of owners doesn't apply here.",
        [SqlQuery(_over_time("accounts"), as_series=True)],
        unit="short",
        span=HALF,
        stacked=True,
    )
    arr = lines(
        "Revenue by band",
        "Today's annual recurring revenue of accounts, by their band at the time.",
        [SqlQuery(_over_time("arr"), as_series=True)],
        unit=MONEY,
        span=HALF,
        stacked=True,
    )
    return [
        numbers(
            "Now",
            "Accounts without churned ones: their number, red ones, average score, annual recurring revenue, that of"
            " red and yellow ones, and that of red and yellow ones that renew within 90 days.",
            _table(
                "count(*) AS accounts, count(*) FILTER (WHERE band = 'red') AS red,"
                ' round(avg(score)::numeric, 1) AS "average score", coalesce(sum(arr), 0) AS revenue,'
                f' coalesce(sum(arr) FILTER (WHERE {RISKY}), 0) AS "revenue at risk",'
                f" coalesce(sum(arr) FILTER (WHERE {RISKY}"
                f' AND renews_on BETWEEN {TODAY} AND {TODAY} + 90), 0) AS "renews within 90 days"',
                "",
            ),
            units={"revenue": MONEY, "revenue at risk": MONEY, "renews within 90 days": MONEY},
        ),
        in_colours_of_bands(accounts),
        in_colours_of_bands(arr),
        listing(
            "By segment",
            "Accounts in each band, and their revenue.",
            _table(
                "coalesce(segment, 'none') AS segment, count(*) AS accounts,"
                " count(*) FILTER (WHERE band = 'red') AS red, count(*) FILTER (WHERE band = 'yellow') AS yellow,"
                " count(*) FILTER (WHERE band = 'green') AS green, round(avg(score)::numeric, 1) AS score,"
                f' sum(arr) AS arr, sum(arr) FILTER (WHERE {RISKY}) AS "arr at risk"',
                "GROUP BY 1 ORDER BY 2 DESC",
            ),
            span=HALF,
            units={**UNITS, "arr at risk": MONEY},
        ),
        listing(
            "By owner",
            "The same, by the person who looks after the accounts.",
            _table(
                "coalesce(owner, 'nobody') AS owner, count(*) AS accounts,"
                " count(*) FILTER (WHERE band = 'red') AS red, count(*) FILTER (WHERE band = 'yellow') AS yellow,"
                " round(avg(score)::numeric, 1) AS score, sum(arr) AS arr,"
                f' sum(arr) FILTER (WHERE {RISKY}) AS "arr at risk"',
                "GROUP BY 1 ORDER BY 3 DESC, 2 DESC",
            ),
            span=HALF,
            units={**UNITS, "arr at risk": MONEY},
        ),
    ]


def _movers() -> Panels:
    return [
        listing(
            "Fell the most in 7 days",
            "Since the end of the day seven days ago.",
            SqlQuery(_moved("<", "ASC")),
            span=THIRD,
            units=UNITS,
        ),
        listing(
            "Rose the most in 7 days",
            "Since the end of the day seven days ago.",
            SqlQuery(_moved(">", "DESC")),
            span=THIRD,
            units=UNITS,
        ),
        listing(
            "Newest alerts",
            "In the time range, without those that were sent in a digest alone.",
            SqlQuery(
                "SELECT created_at AS time, coalesce(account_name, account_id, '') AS account, rule, state, band,"
                ' previous_band AS "previous band", score, acknowledged_by AS "acknowledged by"'
                " FROM analytics.alerts WHERE $__timeFilter(created_at) AND NOT quiet"
                " ORDER BY created_at DESC LIMIT 100"
            ),
            span=THIRD,
            units=UNITS,
        ),
    ]


def _at_risk() -> Panels:
    shown = "coalesce(name, account_id) AS account, owner, segment, band, round(score::numeric, 1) AS score, arr"
    return [
        listing(
            "Red and yellow, by revenue",
            "The accounts whose loss would cost the most.",
            _table(
                f'{shown}, renews_on, overridden AS "by hand"',
                "ORDER BY arr DESC NULLS LAST, score LIMIT 100",
                RISKY,
            ),
            span=HALF,
            units=UNITS,
        ),
        listing(
            "Renew within 90 days",
            "Those that aren't green, the next one first.",
            _table(
                f"renews_on, renews_on - {TODAY} AS days, {shown}",
                "ORDER BY renews_on, arr DESC NULLS LAST LIMIT 100",
                f"band <> 'green' AND renews_on BETWEEN {TODAY} AND {TODAY} + 90",
            ),
            span=HALF,
            units=UNITS,
        ),
        listing(
            "Silent",
            "No usage for 14 days, or never any; by revenue.",
            _table(
                f"{shown}, last_usage_at AS \"last usage\", {TODAY} - (last_usage_at AT TIME ZONE 'UTC')::date AS days",
                "ORDER BY arr DESC NULLS LAST, last_usage_at LIMIT 100",
                "(last_usage_at < now() - interval '14 days' OR last_usage_at IS NULL)",
            ),
            span=HALF,
            units=UNITS,
        ),
        listing(
            "Without a score",
            "Accounts without a score, and the share of their scorecard that has data; by revenue.",
            _table(
                "coalesce(name, account_id) AS account, owner, segment, coverage, arr, scorecard",
                "ORDER BY arr DESC NULLS LAST, coverage LIMIT 100",
                "score IS NULL",
            ),
            span=HALF,
            units={**UNITS, "coverage": "percentunit"},
        ),
    ]


def _table(columns: str, rest: str, condition: str = "true") -> SqlQuery:
    """A query of the accounts that are chosen."""
    return SqlQuery(f"SELECT {columns} FROM analytics.account_health WHERE {HERE} AND {condition} {rest}".strip())  # noqa: S608 - own text


def _over_time(what: str) -> str:
    return (
        f"SELECT day::timestamp AT TIME ZONE 'UTC' AS time, band AS metric, sum({what}) AS value"  # noqa: S608 - own text
        " FROM analytics.portfolio($__timeFrom()::date, $__timeTo()::date)"
        " WHERE coalesce(segment, 'none') IN (${segment:sqlstring}) GROUP BY day, band ORDER BY day, band"
    )


def _moved(sign: str, order: str) -> str:
    """The accounts whose score changed the most. Earlier scores are read all at once, not account by account."""
    return (
        'SELECT coalesce(name, account_id) AS account, owner, band, round(was.score::numeric, 1) AS "7 days ago",'  # noqa: S608 - own text
        " round(now.score::numeric, 1) AS score, round((now.score - was.score)::numeric, 1) AS change, arr"
        " FROM analytics.account_health AS now"
        " JOIN (SELECT account_id, score FROM analytics.account_health_runs"
        f" WHERE first_day <= {TODAY} - 7 AND last_day >= {TODAY} - 7) AS was USING (account_id)"
        f" WHERE {HERE} AND now.score {sign} was.score ORDER BY now.score - was.score {order} LIMIT 25"
    )
