"""Problems: their form, and field paths as people write them."""

import json

import pytest

from service.api.http.problems import FieldError, answer, path_of


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ((), "body"),
        (("scopes",), "scopes"),
        (("scopes", 0), "scopes[0]"),
        (("measures", 3, "curve", 1), "measures[3].curve[1]"),
        ((2, "id"), "[2].id"),
    ],
)
def test_paths(location: tuple[object, ...], path: str) -> None:
    assert path_of(location) == path


def test_a_problem_says_what_fields_are_at_fault() -> None:
    response = answer(422, "It can't be.", errors=[FieldError("a", "is odd")], headers={"Retry-After": "5"})
    assert response.media_type == "application/problem+json"
    assert response.headers["Retry-After"] == "5"
    assert json.loads(bytes(response.body)) == {
        "type": "about:blank",
        "title": "Unprocessable Content",
        "status": 422,
        "detail": "It can't be.",
        "errors": [{"field": "a", "message": "is odd"}],
    }


def test_a_problem_without_fields_has_no_list_of_them() -> None:
    assert json.loads(bytes(answer(404, "Gone.").body)).keys() == {"type", "title", "status", "detail"}
