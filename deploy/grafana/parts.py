"""The parts of all dashboards: data sources, queries, and panels with the look that all of them share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from grafana_foundation_sdk.builders import bargauge, common, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models.common import (
    BigValueGraphMode,
    LegendDisplayMode,
    LegendPlacement,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    DynamicConfigValue,
    Threshold,
    ThresholdsMode,
    VariableModel,
    VariableOption,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

PROMETHEUS = DataSourceRef(type_val="prometheus", uid="${prometheus}")
POSTGRES = DataSourceRef(type_val="grafana-postgresql-datasource", uid="${postgres}")

TODAY = "(now() AT TIME ZONE 'UTC')::date"
"""In SQL. `current_date` is that of the session's time zone, and all days of the views are UTC's."""

BANDS = {"green": "#56A64B", "yellow": "#F2CC0C", "red": "#E02F44", "unknown": "#8E8E8E"}
"""Colours of bands, wherever they are shown."""

# The grid is 24 wide. The panels of a line have to fill it: then they don't overlap.
WHOLE, TWO_THIRDS, HALF, THIRD, QUARTER, SIXTH = 24, 16, 12, 8, 6, 4
TALL, LOW = 8, 4
MONEY = "locale"
"""Amounts are in the currency that they were sent in, which nobody tells."""
Kind = TypeVar("Kind")


def source(name: str, kind: DataSourceRef, uid: str, label: str) -> Builder[VariableModel]:
    """A variable by which people choose a data source; the one with `uid` is chosen at first."""
    chosen = VariableOption(selected=True, text=uid, value=uid)
    return dashboard.DatasourceVariable(name).label(label).type(kind.type_val or "").current(chosen)


# --- Queries ----------------------------------------------------------------------------------------------------


def promql(expr: str, legend: str = "", *, instant: bool = False) -> Builder[Dataquery]:
    """A query in PromQL, over the time range or of its end."""
    query = prometheus.Dataquery().expr(expr).legend_format(legend or "__auto")
    return query.instant().format(PromQueryFormat.TABLE) if instant else query.range()


def quantile(q: float, metric: str, *by: str) -> str:
    """PromQL of a quantile of a histogram, by labels."""
    return f"histogram_quantile({q}, sum by ({', '.join(('le', *by))}) (rate({metric}_bucket[$__rate_interval])))"


def rate(metric: str, *by: str) -> str:
    """PromQL of a counter's growth in a second, by labels."""
    grouped = f" by ({', '.join(by)})" if by else ""
    return f"sum{grouped} (rate({metric}[$__rate_interval]))"


@dataclass
class SqlQuery(Dataquery, Builder[Dataquery]):
    """A query in SQL: as a table, or as series of the columns time, metric and value. The SDK has none for Postgres."""

    sql: str
    as_series: bool = False
    ref_id: str = "A"

    def build(self) -> Dataquery:
        """Itself."""
        return self

    def to_json(self) -> dict[str, object]:
        """As the plugin has it."""
        return {
            "refId": self.ref_id,
            "datasource": POSTGRES.to_json(),
            "editorMode": "code",
            "format": "time_series" if self.as_series else "table",
            "rawQuery": True,
            "rawSql": self.sql,
        }


# --- Panels -----------------------------------------------------------------------------------------------------


def lines(
    title: str, about: str, queries: Sequence[Builder[Dataquery]], *, unit: str, span: int, stacked: bool = False
) -> timeseries.Panel:
    """Lines over time, or areas on top of each other."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(about)
        .unit(unit)
        .min(0)
        .span(span)
        .height(TALL)
        .fill_opacity(60 if stacked else 8)
        .line_width(1)
        .show_points(VisibilityMode.NEVER)
        .legend(
            common.VizLegendOptions()
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
    )
    if stacked:
        panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL))
    return _asking(panel, queries)


def number(
    title: str,
    about: str,
    query: Builder[Dataquery],
    *,
    unit: str,
    span: int = SIXTH,
    limits: Sequence[float] = (),
    spark: bool = True,
) -> stat.Panel:
    """One number; yellow from the first limit on, and red from the second."""
    panel = (
        stat.Panel()
        .title(title)
        .description(about)
        .unit(unit)
        .span(span)
        .height(LOW)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).fields("/^(?!time$).*$/"))
        .graph_mode(BigValueGraphMode.AREA if spark else BigValueGraphMode.NONE)
        .thresholds(_limits(limits))
    )
    return _asking(panel, [query])


def numbers(title: str, about: str, query: Builder[Dataquery], *, units: dict[str, str]) -> stat.Panel:
    """A line of numbers, the columns of one row; `units` are by column."""
    panel = (
        stat.Panel()
        .title(title)
        .description(about)
        .span(WHOLE)
        .height(LOW)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).fields("/.*/"))
        .graph_mode(BigValueGraphMode.NONE)
        .thresholds(_limits(()))
    )
    for column, unit in units.items():
        panel.override_by_name(column, [DynamicConfigValue("unit", unit)])
    return _asking(panel, [query])


def listing(
    title: str,
    about: str,
    query: Builder[Dataquery],
    *,
    span: int,
    units: dict[str, str] | None = None,
    height: int = TALL,
) -> table.Panel:
    """A table; columns called band are coloured, and `units` are by column."""
    panel = table.Panel().title(title).description(about).span(span).height(height)
    for column, unit in (units or {}).items():
        panel.override_by_name(column, [DynamicConfigValue("unit", unit)])
    return _asking(_coloured(panel), [query])


def bars(title: str, about: str, queries: Sequence[Builder[Dataquery]], *, unit: str, span: int) -> bargauge.Panel:
    """A bar for each series, as of now."""
    panel = (
        bargauge.Panel()
        .title(title)
        .description(about)
        .unit(unit)
        .span(span)
        .height(TALL)
        .orientation(VizOrientation.HORIZONTAL)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .min(0)
    )
    return _asking(panel, queries)


def in_colours_of_bands(panel: timeseries.Panel) -> timeseries.Panel:
    """Give each series that is called as a band its colour."""
    for band, colour in BANDS.items():
        panel.override_by_name(band, [DynamicConfigValue("color", {"mode": "fixed", "fixedColor": colour})])
    return panel


def _coloured(panel: table.Panel) -> table.Panel:
    shown = {band: {"color": colour, "index": index} for index, (band, colour) in enumerate(BANDS.items())}
    properties = [
        DynamicConfigValue("mappings", [{"type": "value", "options": shown}]),
        DynamicConfigValue("custom.cellOptions", {"type": "color-text"}),
    ]
    return panel.override_by_regexp("/^(previous )?band$/", properties)


def _limits(limits: Sequence[float]) -> dashboard.ThresholdsConfig:
    steps = [Threshold(value=None, color="green" if limits else "text")]
    steps += [Threshold(value=limit, color=colour) for limit, colour in zip(limits, ("#EAB839", "red"), strict=False)]
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


def _asking(built: Kind, queries: Sequence[Builder[Dataquery]]) -> Kind:
    """Add the queries, named A, B, C …; the panel's data source is theirs."""
    panel: Any = built  # the SDK's kinds of panels have no base with these methods
    for name, query in zip("ABCDEFGH", queries, strict=False):
        if isinstance(query, SqlQuery):
            query.ref_id = name
            panel.datasource(POSTGRES)
        elif isinstance(query, prometheus.Dataquery):
            query.ref_id(name).datasource(PROMETHEUS)
            panel.datasource(PROMETHEUS)
        panel.with_target(query)
    return built
