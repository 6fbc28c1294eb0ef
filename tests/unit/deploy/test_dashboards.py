"""The dashboards as files: what the code makes of them, with every panel in a place of its own."""

import json
from itertools import combinations
from typing import Any

import pytest

from deploy.grafana.build import FOLDER, dashboards

NAMES = ("operators.json", "customer-success.json")
WIDTH = 24


def load(name: str) -> Any:
    return json.loads((FOLDER / name).read_text())


def test_the_files_are_what_the_code_makes() -> None:
    assert sorted(path.name for path in FOLDER.iterdir()) == sorted(NAMES)
    for name, text in dashboards().items():
        assert (FOLDER / name).read_text() == text, f"{name} is old: run python -m deploy.grafana.build"


@pytest.mark.parametrize("name", NAMES)
def test_panels_fill_lines_and_none_lies_on_another(name: str) -> None:
    cells: dict[int, set[tuple[int, int]]] = {}
    for panel in load(name)["panels"]:
        at = panel["gridPos"]
        assert at["x"] >= 0
        assert at["x"] + at["w"] <= WIDTH, panel["title"]
        cells[panel["id"]] = {
            (x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])
        }
    for one, other in combinations(cells, 2):
        assert not cells[one] & cells[other], (one, other)
    height = max(y for each in cells.values() for _, y in each) + 1
    assert sum(map(len, cells.values())) == WIDTH * height, "there are gaps"


@pytest.mark.parametrize("name", NAMES)
def test_panels_say_what_they_show_and_ask_a_source_that_can_be_chosen(name: str) -> None:
    made = load(name)
    chosen = {f"${{{each['name']}}}" for each in made["templating"]["list"] if each["type"] == "datasource"}
    for panel in made["panels"]:
        assert panel["title"]
        if panel["type"] == "row":
            continue
        assert panel["datasource"]["uid"] in chosen
        assert panel["targets"], panel["title"]
        for target in panel["targets"]:
            assert target["datasource"] == panel["datasource"]
            assert target.get("expr") or target["rawSql"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


def test_the_data_sources_are_chosen_by_uid() -> None:
    chosen = {
        each["name"]: each["current"]["value"]
        for name in NAMES
        for each in load(name)["templating"]["list"]
        if each["type"] == "datasource"
    }
    assert chosen == {"prometheus": "prometheus", "postgres": "health-postgres"}
