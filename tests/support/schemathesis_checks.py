"""A replacement of schemathesis's `positive_data_acceptance`: data that keeps to the schema is accepted, unless it is
refused for a reason that no schema can express. Each such reason is in the list below; any other refusal is a failure.
"""

import json
import re
from typing import Any

import schemathesis
from schemathesis import Case, Response
from schemathesis.checks import CheckContext

_REFUSED = 422

UNTOLD = {
    "a token is what the list before gave": (
        r"page_token|after",
        r"isn't one that this list returned|can't be given with after|is from before the database",
    ),
    "ranges that depend on today": (r"from|to|day", r"must be .* or (later|before)|on or before to"),
    "moments that depend on now": (
        r"until|since|expires_at|(\[\d+\]\.)?time",
        r"in the future|before until|years 1 to 9999|outside the years",
    ),
    "a line feed at the end, which `$` of some pattern languages allows": (r".*", r"^holds U\+000A"),
    "one of two fields is enough": (r"score", r"give a score, a band, or both"),
    "levels that depend on each other": (r"clear_level", r"must be at or (above|below) level"),
    "a rule's fields depend on its kind, which a patch doesn't give": (
        r".*",
        r"unknown field|[Mm]issing required field",
    ),
    "and so do their bounds": (r"level|points|days", r"Expected `(float|int)` (>|<)"),
    "a whole number, written 1.0": (r".*", r"Expected `int( \| null)?`, got `float`|valid integer"),
    "settings of the installation": (r"days", r"HEALTH_FORECAST_DAYS"),
    "the scale depends on the survey": (
        r"(\[\d+\]\.)?data\.(score|scale_min|scale_max)",
        r"must be .* for (nps|csat|ces)|nps is asked on|must be above scale_min",
    ),
    "calendars: some days aren't, in some years": (r".*", r"Invalid (RFC3339|date)|day is out of range|year|input is"),
    "base64 in which there is JSON": (
        r"(\[\d+\]\.)?data(_base64|\..*)?",
        r"is not base64|must decode to JSON|goes without data|Expected `object`|[Mm]issing required|unknown field",
    ),
    "money, written as text": (r"(\[\d+\]\.data\.)?arr", r"decimal|must be 0 to"),
    "a measure takes a window, or features, or none, and curves rise": (
        r"(measures|bands|applies_to).*",
        r"must rise|takes no|needs a window|1 to|is taken|weight must|applies to all|overlap|say which|from, to",
    ),
    "a calibration's table goes down, and its days are in order": (
        r"calibration\..*",
        r"must rise|must not be (above|after)|must be 0 to",
    ),
    "files of the installation": (r"log\.path|outcomes", r"HEALTH_BACKTEST_FOLDER"),
    "whole documents in a list": (r"(scorecards|rules)\[\d+\]\..*", r".+"),
    "where a webhook may go": (r"url|headers|headers\..*|options.*|target", r".+"),
}
"""Reason, pattern of the field, pattern of the message."""

_REASONS = [(re.compile(field), re.compile(message)) for field, message in UNTOLD.values()]


class RefusedError(AssertionError):
    """Data that keeps to the schema was refused, and not for a known reason."""


@schemathesis.check
def valid_data_is_accepted(_: CheckContext, response: Response, case: Case[Any]) -> bool | None:
    """True if a request that keeps to the schema got through, or is refused for a reason of the list."""
    if case.meta is None or not case.meta.generation.mode.is_positive or response.status_code < 400:
        return None
    problem = json.loads(response.content) if response.content else {}
    if response.status_code == _REFUSED:
        unknown = [error for error in problem.get("errors", []) if not _is_known(error)]
        if unknown or not problem.get("errors"):
            raise RefusedError(f"{case.operation.label} refuses what its schema allows: {unknown or problem}")
    elif response.status_code in (400, 405, 406, 413, 415):
        raise RefusedError(f"{case.operation.label} refuses what its schema allows: {problem}")
    return None


@schemathesis.check
def errors_are_problems(_: CheckContext, response: Response, case: Case[Any]) -> bool | None:
    """True if an error is an RFC 9457 problem that names its status, and says nothing of the code."""
    if response.status_code < 400 or case.method == "HEAD":
        return None
    media_type = response.headers.get("content-type", [""])[0]
    problem = json.loads(response.content)
    if media_type != "application/problem+json" or problem["status"] != response.status_code:
        raise RefusedError(f"{case.operation.label} answers {response.status_code} with {media_type}: {problem}")
    if "Traceback" in response.text or ".py" in response.text:
        raise RefusedError(f"{case.operation.label} shows its code: {problem}")
    return None


def _is_known(error: dict[str, Any]) -> bool:
    return any(field.fullmatch(error["field"]) and message.search(error["message"]) for field, message in _REASONS)
