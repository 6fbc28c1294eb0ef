"""The edges of parameters and bodies, by their types in the OpenAPI document."""

from collections.abc import Iterator
from typing import Any

from service.api.http.pagination import encode_token

INSTANTS = [
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "0001-01-01T00:00:00.000001+00:01",
    "0001-01-01T00:00:00-23:59",
    "1969-12-31T23:59:59.999999Z",
    "2026-01-31T09:00:00+23:59",
    "9999-12-31T23:59:59.999999Z",
    "9999-12-31T23:59:59.999999+23:59",
    "9999-12-31T23:59:59.999999-00:01",
    "9999-12-31T00:00:00-14:00",
    "0000-01-01T00:00:00Z",
    "10000-01-01T00:00:00Z",
    "2026-02-29T00:00:00Z",
    "2026-01-31T24:00:00Z",
    "2026-01-31T23:59:60Z",
    "2026-01-31T09:00:00",
    "2026-01-31T09:00:00 01:00",
    "-1",
    "1e18",
]
DAYS = ["0001-01-01", "0001-01-02", "0001-04-01", "1969-12-31", "1970-01-01", "9999-12-31", "0000-00-00", "2026-02-29"]
NUMBERS = [0, -1, 1, 2**31 - 1, 2**31, 2**63 - 1, 2**63, -(2**63) - 1, 10**40, 0.5, -0.0, 1e-320, 1.7e308]
TEXTS = ["", " ", "\x00", "a\x00b", "\x1f", "\x7f", "\x85", "\u3000", "\u2028", "\ufffe", "\U0010ffff", "x" * 10_000]
ODD = ["NaN", "Infinity", "-Infinity", "1e400", "0x1", "1_0", "\u0663", "null", "true", "[]", "{}", "%", "'", '"']
_NOBODY = "00000000-0000-0000-0000-000000000000"


def _tokens() -> Iterator[str]:
    for moment in INSTANTS:
        yield encode_token([moment, _NOBODY])
        yield encode_token([moment, "acme", True])
        yield encode_token([moment, "acme", False])
    for day in DAYS:
        yield encode_token([day, "acme", _NOBODY])
    for number in NUMBERS[:-1]:
        yield encode_token(number) if abs(number) < 2**64 else str(number)
        yield encode_token([number if abs(number) < 2**63 else 0, "acme"])
        yield encode_token([number if abs(number) < 2**63 else 0, _NOBODY])
    for text in TEXTS:
        yield encode_token([text, text])
        yield encode_token([None, text])


TOKENS = list(_tokens())


def parameter_values(parameter: dict[str, Any]) -> list[str]:
    """Values to try for a parameter: in a request all of them are text."""
    schema = parameter["schema"]
    schema = schema.get("items", schema)
    always = [*TEXTS, *ODD]
    if parameter["name"] in ("page_token", "after"):
        return [*always, *TOKENS]
    match schema.get("format"), schema.get("type"):
        case ("date-time", _):
            return [*always, *INSTANTS, *DAYS]
        case ("date", _):
            return [*always, *DAYS, *INSTANTS[:4]]
        case (_, "integer" | "number"):
            bounds = [schema.get(bound) for bound in ("minimum", "maximum")]
            return [*always, *map(str, NUMBERS), *(str(b + by) for b in bounds if b is not None for by in (-1, 0, 1))]
        case (_, "boolean"):
            return always
    return [
        *always,
        *schema.get("enum", []),
        "x" * schema.get("maxLength", 300),
        "x" * (schema.get("maxLength", 0) + 1),
    ]


BODY_VALUES: list[Any] = [None, [], {}, *NUMBERS[::2], *TEXTS[::3], *INSTANTS[:9:2], *INSTANTS[7:9], *DAYS[::4]]


def with_edges(value: Any) -> Iterator[Any]:
    """Copies of a body, each with another edge in place of one of its parts."""
    if isinstance(value, dict):
        for name, inner in value.items():
            for changed in with_edges(inner):
                yield {**value, name: changed}
    elif isinstance(value, list):
        for index, inner in enumerate(value[:2]):
            for changed in with_edges(inner):
                yield [*value[:index], changed, *value[index + 1 :]]
    else:
        yield from BODY_VALUES
