"""deploy/logs.md names every line that is logged at info or above, with its fields: held against the code."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator

from tests.support.paths import ROOT

DOCUMENT = ROOT / "deploy" / "logs.md"
LEVELS = {"info", "warning", "error", "exception", "critical"}
NAMED_BY_VALUE = {"write_line": ("endpoint_failing", "endpoint_disabled"), "level": ("delivery_attempted",)}
"""Functions that choose the level, and the events that they write."""
ROW = re.compile(r"^\| `(\w+)` \| ([\w, ]+) \| ([^|]*) \| ([^|]+) \|$", re.MULTILINE)


def calls() -> Iterator[tuple[str, str, set[str]]]:
    """Event, level and fields of every call that logs."""
    for folder in ("service", "consumers", "scoring"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and (found := _logged(node)):
                    fields = {keyword.arg for keyword in node.keywords if keyword.arg} - {"exc_info"}
                    for event, level in found:
                        yield event, level, fields


def _logged(call: ast.Call) -> list[tuple[str, str]]:
    match call.func:
        case ast.Attribute(value=ast.Name(id="log"), attr=level) if level in LEVELS:
            assert isinstance(call.args[0], ast.Constant), "the name of an event is a constant, so that it can be found"
            return [(str(call.args[0].value), "error" if level == "exception" else level)]
        case ast.Name(id=name) if name in NAMED_BY_VALUE and call.keywords:
            return [(event, "") for event in NAMED_BY_VALUE[name]]
    return []


def test_every_event_is_documented_with_its_fields() -> None:
    levels: dict[str, set[str]] = defaultdict(set)
    fields: dict[str, set[str]] = defaultdict(set)
    for event, level, named in calls():
        levels[event] |= {level} - {""}
        fields[event] |= named
    rows = {
        event: (level, set(re.findall(r"`(\w+)`", named)))
        for event, level, named, _ in ROW.findall(DOCUMENT.read_text())
    }
    assert set(rows) == set(levels)
    for event, (level, named) in rows.items():
        assert named == fields[event], event
        assert levels[event] <= set(level.split(", ")), event


def test_there_are_calls_to_document() -> None:
    assert len({event for event, _, _ in calls()}) > 40
