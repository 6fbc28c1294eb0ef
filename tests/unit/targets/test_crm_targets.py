"""The updates that CRMs get: one account's health, whatever the alert that reports it."""

import json
from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.delivery.reply_outcome import interpret
from service.delivery.transport.http import Reply
from service.runtime.errors import HealthError
from service.targets import ACCOUNTS_ONLY, COALESCED, TARGETS, hubspot, salesforce
from service.targets.answer import ReceiverAnswer
from service.targets.hubspot import HUBSPOT, HubSpotOptions
from service.targets.message import Message
from service.targets.salesforce import SALESFORCE, SalesforceOptions

APP = {"token_url": "https://acme.my.salesforce.com/services/oauth2/token", "client_id": "3MVG", "client_secret": "shh"}


def message(**data: Any) -> Message:
    """An alert of twelve o'clock UTC, written in another time zone."""
    at = datetime(2026, 3, 1, 14, 0, 0, 123456, tzinfo=timezone(timedelta(hours=2)))
    facts = {"account_id": "acme", "score": 37.25, "band": "red", **data}
    return Message(UUID(int=7), "health.threshold.crossed", at, json.dumps(facts))


def app(**options: str) -> SalesforceOptions:
    return msgspec.convert({**APP, **options}, SalesforceOptions)


def test_hubspot_is_sent_an_upsert_of_one_company() -> None:
    body = hubspot.build(message(), HubSpotOptions())
    assert (body.method, body.path) == ("POST", "/crm/v3/objects/companies/batch/upsert")
    assert json.loads(body.content) == {
        "inputs": [
            {
                "idProperty": "account_health_id",
                "id": "acme",
                "properties": {
                    "account_health_score": "37.25",
                    "account_health_band": "red",
                    "account_health_changed_at": "2026-03-01T12:00:00.123Z",
                },
            }
        ]
    }


@pytest.mark.parametrize(
    ("score", "written"), [(None, ""), (0.0, "0"), (100.0, "100"), (37.123456, "37.1235"), (0.00001, "0"), (7, "7")]
)
def test_hubspots_numbers_are_text_and_a_missing_one_is_empty(score: float | None, written: str) -> None:
    body = hubspot.build(message(score=score), HubSpotOptions())
    assert json.loads(body.content)["inputs"][0]["properties"]["account_health_score"] == written


def test_the_names_of_hubspots_properties_are_options() -> None:
    options = HubSpotOptions(id_property="crm_key", score_property="s", band_property="b", changed_at_property="since")
    [company] = json.loads(hubspot.build(message(band=None), options).content)["inputs"]
    assert company["idProperty"] == "crm_key"
    assert company["properties"] == {"s": "37.25", "b": "", "since": "2026-03-01T12:00:00.123Z"}


@pytest.mark.parametrize(
    ("status", "answer", "reason"),
    [
        (200, {"status": "COMPLETE", "results": []}, None),
        (201, {"status": "COMPLETE", "numErrors": 1}, None),
        (207, {"status": "COMPLETE", "results": [{"id": "1"}]}, None),
        (207, {"numErrors": 0, "errors": []}, None),
        (207, {"numErrors": 1, "errors": [{"message": "a is not valid"}, {"message": "b"}]}, "a is not valid"),
        (207, {"errors": [{"status": "error", "message": "a is not valid"}]}, "a is not valid"),
        (200, {"status": "error", "message": "the portal is asleep"}, "the portal is asleep"),
        (207, {"numErrors": 2}, "HubSpot answered 207 with an unexplained error"),
        (207, {"errors": [{"message": "x" * 900}]}, "x" * 500),
        (207, ["not", "as", "documented"], "HubSpot answered 207, and its answer can't be read"),
    ],
)
def test_a_207_of_hubspot_with_errors_is_a_refusal(status: int, answer: object, reason: str | None) -> None:
    assert HUBSPOT.refusal(status, json.dumps(answer).encode()) == reason


def test_a_207_that_was_cut_is_a_refusal() -> None:
    assert hubspot.refusal(207, b'{"results":[{"id":"1"')


def test_salesforce_is_sent_the_fields_of_one_account() -> None:
    body = salesforce.build(message(account_id="a/b c?株"), app())
    assert (body.method, body.content_type) == ("PATCH", "application/json")
    assert body.path == "/services/data/v62.0/sobjects/Account/Health_Account_Id__c/a%2Fb%20c%3F%E6%A0%AA"
    assert json.loads(body.content) == {
        "Health_Score__c": 37.25,
        "Health_Band__c": "red",
        "Health_Changed_At__c": "2026-03-01T12:00:00.123Z",
    }


def test_the_names_of_salesforces_fields_are_options() -> None:
    options = app(
        api_version="v59.0", external_id_field="Key__c", score_field="S__c", band_field="B__c", changed_at_field="C__c"
    )
    body = salesforce.build(message(score=None, band=None), options)
    assert body.path == "/services/data/v59.0/sobjects/Account/Key__c/acme"
    assert json.loads(body.content) == {"S__c": None, "B__c": None, "C__c": "2026-03-01T12:00:00.123Z"}


@pytest.mark.parametrize("account_id", [".", ".."])
def test_an_account_that_would_be_another_path_is_not_sent_to_salesforce(account_id: str) -> None:
    with pytest.raises(HealthError, match="dot"):
        salesforce.build(message(account_id=account_id), app())


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("api_version", "v62.0/../x"),
        ("api_version", "62.0"),
        ("external_id_field", "Id/x"),
        ("external_id_field", ""),
        ("score_field", "Name?"),
        ("client_id", ""),
        ("token_uri", "https://x/"),
    ],
)
def test_options_that_salesforce_could_not_know_are_refused(option: str, value: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        app(**{option: value})


def test_salesforces_options_need_an_app_and_do_not_show_its_secret() -> None:
    for name in APP:
        with pytest.raises(msgspec.ValidationError, match=name):
            msgspec.convert({key: value for key, value in APP.items() if key != name}, SalesforceOptions)
    assert SALESFORCE.credentials is not None
    credentials = SALESFORCE.credentials(app())
    assert credentials.client_secret == "shh"
    assert "shh" not in repr(credentials) + repr(app())


def test_salesforce_takes_an_upsert_with_these_answers_alone() -> None:
    assert [SALESFORCE.refusal(status, b"") is None for status in (200, 201, 202, 204, 207)] == [
        True, True, False, True, False,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("answered", "kind"),
    [
        ({"id": "1", "success": True, "errors": []}, "taken"),
        ({"id": "1", "success": False, "errors": []}, "again"),
        ([{"success": False}], "again"),
        ([{"success": False, "errors": [{"statusCode": "MALFORMED_ID", "message": "x"}]}], "never"),
    ],
)
def test_a_record_that_salesforce_did_not_write_is_no_success(answered: object, kind: str) -> None:
    reply = Reply(200, body=json.dumps(answered).encode())
    assert interpret(reply, "salesforce")[1].kind == kind


@pytest.mark.parametrize(("build", "options"), [(hubspot.build, HubSpotOptions()), (salesforce.build, app())])
def test_what_is_about_no_single_account_is_not_for_crms(build: Any, options: object) -> None:
    with pytest.raises(HealthError, match="isn't about a single account"):
        build(message(account_id=None), options)
    assert {"hubspot", "salesforce"} <= ACCOUNTS_ONLY & COALESCED.keys()


@pytest.mark.parametrize("version", ["v4", "2026-13", "2026", "../x", ""])
def test_versions_that_hubspot_does_not_have_are_refused(version: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"api_version": version}, HubSpotOptions)


def test_an_update_alone_needs_a_version_that_knows_it() -> None:
    options = {**APP, "update_only": True}
    body = salesforce.build(message(account_id="a/b"), msgspec.convert(options, SalesforceOptions))
    assert (body.path.rpartition("/")[2], body.query) == ("a%2Fb", "updateOnly=true")
    with pytest.raises(msgspec.ValidationError, match=r"update_only needs api_version v61\.0 or later"):
        msgspec.convert({**options, "api_version": "v60.0"}, SalesforceOptions)


@given(st.binary(max_size=300), st.integers(200, 599))
def test_whatever_a_crm_answers_it_is_read(body: bytes, status: int) -> None:
    for target in (HUBSPOT, SALESFORCE, TARGETS["slack"], TARGETS["teams"]):
        target.verdict(ReceiverAnswer(status, {}, body))
        target.refusal(status, body)
