"""Grafana's changes to a query before it sends it: variables and macros become values."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

DASHBOARDS = Path(__file__).parents[2] / "deploy" / "grafana" / "dashboards"
MADE_BY_PROMETHEUS = {"up": {"instance", "job"}}
"""Metrics that no process exposes."""


class Asked(NamedTuple):
    """A query of a panel, or of a variable."""

    where: str
    text: str


def promql(name: str) -> list[Asked]:
    """Every PromQL expression of a dashboard, with the intervals put in."""
    return [Asked(where, text.replace("$__rate_interval", "1m")) for where, text in _targets(name, "expr")]


def sql(name: str) -> list[Asked]:
    """Every SQL statement of a dashboard, those of its variables first; as they are written."""
    variables = [
        Asked(f"variable {each['name']}", each["query"])
        for each in _load(name)["templating"]["list"]
        if each["type"] == "query"
    ]
    return variables + [Asked(*each) for each in _targets(name, "rawSql")]


def interpolated(statement: str, variables: Mapping[str, Sequence[str]], since: datetime, until: datetime) -> str:
    """A statement as the data source sends it; fails if an unknown variable is left."""
    first, last = (f"'{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}'" for moment in (since, until))

    def values(match: re.Match[str]) -> str:
        return ",".join("'" + value.replace("'", "''") + "'" for value in variables[match[1]])

    text = re.sub(r"\$__timeFilter\(([^()]+)\)", rf"\1 BETWEEN {first} AND {last}", statement)
    text = text.replace("$__timeFrom()", first).replace("$__timeTo()", last).replace("$__searchFilter", "%")
    text = re.sub(r"\$\{(\w+):sqlstring\}", values, text)
    assert "$" not in text, text
    return text


def _load(name: str) -> Any:
    return json.loads((DASHBOARDS / name).read_text())


def _targets(name: str, key: str) -> Iterator[tuple[str, str]]:
    for panel in _load(name)["panels"]:
        for target in panel.get("targets", ()):
            if key in target:
                yield f"{panel['id']} {panel['title']} {target['refId']}", target[key]
