"""Interprets Salesforce's answers: errors have their own status, or are in the body of a 200."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import msgspec

from service.targets.answer import LIMITED, AnswerVerdict, ReceiverAnswer

SUCCESS = frozenset({HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.NO_CONTENT})
LIMITS = frozenset({"REQUEST_LIMIT_EXCEEDED", "SERVER_UNAVAILABLE"})
NEVER = frozenset(
    {
        "DUPLICATE_EXTERNAL_ID",
        "DUPLICATE_VALUE",
        "DUPLICATES_DETECTED",
        "ENTITY_IS_DELETED",
        "FIELD_CUSTOM_VALIDATION_EXCEPTION",
        "FIELD_INTEGRITY_EXCEPTION",
        "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
        "JSON_PARSER_ERROR",
        "MALFORMED_ID",
        "NOT_FOUND",
        "NUMBER_OUTSIDE_VALID_RANGE",
        "PROCESSING_HALTED",
        "REQUIRED_FIELD_MISSING",
        "STRING_TOO_LONG",
    }
)
"""Codes of refusals of this record, which no further attempt would change."""
LONGEST_MESSAGE = 200


def verdict(answer: ReceiverAnswer) -> AnswerVerdict | None:
    """The verdict by the first error in the answer, if there is one."""
    if answer.status == HTTPStatus.MULTIPLE_CHOICES:
        return AnswerVerdict("never", "Salesforce has several accounts with this id: make the external id field unique")
    if answer.status == HTTPStatus.SERVICE_UNAVAILABLE:
        return None
    error = next(_errors(answer.body), None)
    if error is None:
        return None
    code, message = error
    reason = f"Salesforce answered: {code} ({message})"
    if code in LIMITS:
        return AnswerVerdict(LIMITED.kind, reason)
    if code == "PROCESSING_HALTED":
        reason = "Salesforce has no account with this id, and with update_only none is created"
    if code == "NOT_FOUND":
        reason = "Salesforce has no such external id field, or, with update_only, no account with this id"
    return AnswerVerdict("never" if code in NEVER else "again", reason)


def refusal(status: int, excerpt: bytes) -> str | None:
    """The reason if a 2xx answer is not that of an upsert, which is 200, 201 or 204 and never a page."""
    if status not in SUCCESS:
        return f"{status} is no answer of Salesforce to an upsert"
    if ReceiverAnswer(status, {}, excerpt).is_page:
        return f"a page is no answer of Salesforce ({status}): check the endpoint's URL"
    return None


def _errors(body: bytes) -> Iterator[tuple[str, str]]:
    """The code and message of each error: in a list of errors, of failed records, or of failed parts."""
    try:
        document = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return
    yield from _within(document, 0)
    records = document if isinstance(document, list) else [document]
    if any(isinstance(record, dict) and record.get("success") is False for record in records):
        yield "NOT_WRITTEN", "without saying why"


def _within(value: Any, depth: int) -> Iterator[tuple[str, str]]:
    if isinstance(value, list):
        for each in value[:100]:
            yield from _within(each, depth)
    elif isinstance(value, dict) and depth < 4:
        code = value.get("errorCode", value.get("statusCode"))
        if isinstance(code, str):
            yield code[:LONGEST_MESSAGE], str(value.get("message", ""))[:LONGEST_MESSAGE]
        for name in ("errors", "compositeResponse", "body"):
            yield from _within(value.get(name), depth + 1)
