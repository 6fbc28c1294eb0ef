"""The chart renders objects that Kubernetes, KEDA and the Prometheus operator accept."""

import json
import shutil
from pathlib import Path

import helm_python
import kubernetes_validate  # type: ignore[import-untyped] # it ships no type information
import pytest
import yaml

from tests.support import javascript
from tests.support.chart import CHART, DEPLOY, EVERYTHING, MINIMAL, VALUE_SETS, Values, merged, objects, of_kind

KUBERNETES = ("1.30", "1.33", kubernetes_validate.latest_version())
"""The oldest that the chart says it runs on, one between, and the newest that there are schemas of."""
ELSEWHERE = ("keda.sh/", "monitoring.coreos.com/")
"""Kinds that Kubernetes itself doesn't know."""
CHECK = Path(__file__).parent / "crds" / "check.mjs"

every_set = pytest.mark.parametrize("values", VALUE_SETS.values(), ids=VALUE_SETS)
needs_node = pytest.mark.skipif(javascript.what_is_missing() is not None, reason=str(javascript.what_is_missing()))


@every_set
def test_helm_finds_nothing_to_complain_of(values: Values) -> None:
    report = helm_python.lint(CHART, values, strict=True)
    assert report["errors"] == []
    assert [message["error"] for message in report["messages"]] == ["icon is recommended"]


@every_set
@pytest.mark.parametrize("version", KUBERNETES)
def test_kubernetes_takes_every_object_and_knows_every_field(values: Values, version: str) -> None:
    found = [each for each in objects(values) if not each["apiVersion"].startswith(ELSEWHERE)]
    assert len(found) >= 6
    for each in found:
        kubernetes_validate.validate(each, version, strict=True)


@needs_node
def test_so_do_the_operators_of_keda_and_prometheus() -> None:
    found = [each for values in VALUE_SETS.values() for each in objects(values) if "." in each["apiVersion"]]
    found = [each for each in found if each["apiVersion"].startswith(ELSEWHERE)]
    kinds = {"ScaledObject", "TriggerAuthentication", "ServiceMonitor", "PrometheusRule"}
    assert {each["kind"] for each in found} == kinds
    assert javascript.answer_of(CHECK, found) == [[]] * len(found)


@needs_node
def test_which_would_not_take_a_field_that_there_is_not_nor_a_value_of_another_type() -> None:
    [scaled] = of_kind(objects(EVERYTHING), "ScaledObject")
    misspelt = merged(scaled, {"spec": {"maxReplicas": 3}})
    mistyped = merged(scaled, {"spec": {"maxReplicaCount": "3"}})
    [unknown], [_, wrong] = javascript.answer_of(CHECK, [misspelt, mistyped])
    assert "'\"maxReplicas\"' does not exist" in unknown
    assert "maxReplicaCount must be integer" in wrong


def test_names_are_of_this_release_and_no_two_objects_share_one() -> None:
    for values in VALUE_SETS.values():
        named = [(each["kind"], each["metadata"]["name"]) for each in objects(values)]
        assert len(named) == len(set(named))
        for each in objects(values):
            assert each["metadata"]["name"].startswith(("demo-account-health", "health"))
            assert each["metadata"]["namespace"] == "health"
            assert each["metadata"]["labels"]["app.kubernetes.io/instance"] == "demo"


def test_the_rules_are_those_that_compose_loads() -> None:
    [rule] = of_kind(objects(EVERYTHING), "PrometheusRule")
    assert rule["spec"] == yaml.safe_load((DEPLOY / "prometheus" / "rules" / "account-health.yml").read_text())


def test_dashboards_are_those_that_compose_loads_byte_by_byte(tmp_path: Path) -> None:
    shutil.copytree(DEPLOY, tmp_path / "deploy", symlinks=True)
    text = '{"title": "{{ not a template }}", "unit": "µs"}\n'
    (tmp_path / "deploy" / "grafana" / "dashboards" / "another.json").write_text(text)
    written = sorted((tmp_path / "deploy" / "grafana" / "dashboards").glob("*.json"))
    with helm_python.Chart.load(tmp_path / "deploy" / "helm" / "account-health") as chart:
        maps = of_kind(objects(EVERYTHING, of=chart), "ConfigMap")
    assert all(each["metadata"]["labels"]["grafana_dashboard"] == "1" for each in maps)
    rendered = {name: text for each in maps for name, text in each["data"].items()}
    assert rendered == {f"account-health-{path.name}": path.read_text() for path in written}
    assert not of_kind(objects(MINIMAL), "ConfigMap")


def test_a_packaged_chart_has_the_files_that_are_links_here(tmp_path: Path) -> None:
    archive = helm_python.package(CHART, destination=tmp_path)
    with helm_python.Chart.load(archive) as packaged:
        names = {file["name"] for file in packaged.files}
        assert objects(EVERYTHING, of=packaged) == objects(EVERYTHING)
    boards = {f"files/dashboards/{path.name}" for path in (DEPLOY / "grafana" / "dashboards").glob("*.json")}
    assert {"files/rules.yml", *boards} <= names


def test_values_and_schema_name_the_same() -> None:
    """No value without a type, and none in the schema that has no default."""
    schema = json.loads((CHART / "values.schema.json").read_text())

    def compare(values: object, node: dict[str, object], path: str) -> None:
        if "$ref" in node:
            node = schema["definitions"][str(node["$ref"]).rpartition("/")[2]]
        properties = node.get("properties")
        if isinstance(values, dict) and isinstance(properties, dict) and not path.endswith((".resources", "[]")):
            assert values.keys() == properties.keys() - {"global"}, path
            assert node["additionalProperties"] is False, path
            for name, value in values.items():
                compare(value, properties[name], f"{path}.{name}")

    compare(yaml.safe_load((CHART / "values.yaml").read_text()), schema, "")
