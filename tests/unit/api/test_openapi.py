"""The API's own description is consistent: every operation is described in full, and every example is valid."""

from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from service.api.app import create_app
from service.runtime.settings import Settings

OPEN = {"/livez", "/readyz"}
Operation = tuple[str, str, dict[str, Any]]


class Never:
    """A stand-in for engine and publisher, which aren't used here."""

    def execution_options(self, **_: object) -> "Never":
        return self


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    never: Any = Never()
    described: dict[str, Any] = create_app(Settings(_env_file=None), never, never, never).openapi()
    return described


def operations(document: dict[str, Any]) -> Iterator[Operation]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def validator(document: dict[str, Any], schema: dict[str, Any]) -> Any:
    """A validator of one of the document's schemas, formats included."""
    whole = {**schema, "components": document["components"]}
    return jsonschema.Draft202012Validator(whole, format_checker=jsonschema.FormatChecker())


def test_every_operation_is_described_in_full(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(ids) == len(set(ids)) > 50
    for method, path, operation in operations(document):
        at = f"{method} {path}"
        assert operation["summary"], at
        assert operation["description"], at
        assert operation["tags"], at
        assert ("security" in operation) == (path not in OPEN), at
        good = [status for status in operation["responses"] if status.startswith("2")]
        assert good, at
        for parameter in operation.get("parameters", []):
            assert parameter["schema"], at


def descriptions(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for name, value in node.items():
            if name == "description" and isinstance(value, str):
                yield value
            else:
                yield from descriptions(value)
    elif isinstance(node, list):
        for each in node:
            yield from descriptions(each)


def test_no_paragraph_is_indented_as_markdown_would_show_code(document: dict[str, Any]) -> None:
    found = list(descriptions(document))
    assert len(found) > 100
    assert not [text for text in found if "\n    " in text]


def test_every_error_is_described(document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        told = {int(status) for status in operation["responses"]}
        expected = {400, 500, 503}
        expected |= {401, 403, 429} if path not in OPEN else set()
        expected |= {404} if "{" in path else set()
        expected |= {408, 413, 415, 422} if "requestBody" in operation else set()
        expected |= {304} if method == "get" else set()
        assert expected <= told, f"{method} {path}"
        for status, answer in operation["responses"].items():
            if int(status) >= 400:
                assert list(answer["content"]) == ["application/problem+json"], f"{method} {path} {status}"
            if int(status) != 400:
                assert "X-Request-Id" in answer["headers"]


def test_every_body_has_an_example_of_its_schema(document: dict[str, Any]) -> None:
    shown = 0
    for method, path, operation in operations(document):
        bodies = [("request", operation.get("requestBody", {}))]
        bodies += [(status, answer) for status, answer in operation["responses"].items() if status != "304"]
        for name, body in bodies:
            for media_type, content in body.get("content", {}).items():
                at = f"{method} {path} {name} {media_type}"
                assert "example" in content, at
                assert content["schema"], at
                problems = [
                    error.message for error in validator(document, content["schema"]).iter_errors(content["example"])
                ]
                assert not problems, (at, problems)
                shown += 1
    assert shown > 300


def test_links_lead_to_operations_and_parameters_that_are_there(document: dict[str, Any]) -> None:
    by_id = {operation["operationId"]: operation for _, _, operation in operations(document)}
    links = [
        link
        for operation in by_id.values()
        for answer in operation["responses"].values()
        for link in answer.get("links", {}).values()
    ]
    assert len(links) >= 10
    for link in links:
        names = {parameter["name"] for parameter in by_id[link["operationId"]]["parameters"]}
        assert set(link["parameters"]) <= names, link


def test_it_is_an_openapi_document(document: dict[str, Any]) -> None:
    references = list(_values(document, "$ref"))
    assert len(references) > 100
    for reference in references:
        found: Any = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
        assert found
    used = {reference.rpartition("/")[2] for reference in references}
    assert set(document["components"]["schemas"]) <= used, "a schema that nothing names"


def _values(node: Any, key: str) -> Iterator[Any]:
    if isinstance(node, dict):
        for name, value in node.items():
            if name == key and isinstance(value, str):
                yield value
            else:
                yield from _values(value, key)
    elif isinstance(node, list):
        for each in node:
            yield from _values(each, key)


@pytest.mark.parametrize(
    ("schema", "name"),
    [
        ("AttributesData", "name"),
        ("AttributesData", "parent_id"),
        ("UsageEvent", "subject"),
        ("ScoreRule", "name"),
        ("SilenceRule", "name"),
    ],
)
def test_text_that_people_write_may_hold_all_but_control_characters(
    document: dict[str, Any], schema: str, name: str
) -> None:
    told = document["components"]["schemas"][schema]["properties"][name]
    patterns = {form.get("pattern") for form in told.get("anyOf", [told]) if form.get("type") == "string"}
    assert patterns == {r"^[^\u0000-\u001f\u007f-\u009f]*$"}
    assert not list(validator(document, told).iter_errors("株式会社\u3000日本\u200d\u00a0\u200f"))
    assert list(validator(document, told).iter_errors("a\x07"))
