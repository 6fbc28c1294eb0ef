"""Every kind of message in the form of every target, compared with the documentation of the receivers."""

import json
from typing import Any

import pytest
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from service.runtime.errors import HealthError
from service.targets import TARGETS, target_of
from service.targets.message import Body, Message
from tests.support.messages import ACCOUNT, AT, EPISODE, HOSTILE, ID, MESSAGES, PAGE, PLAYBOOK, message
from tests.support.receiver_schemas import check_alertmanager, check_slack, check_teams

every_message = pytest.mark.parametrize("name", MESSAGES)


def built(target: str, told: Message) -> Body:
    kind = target_of(target)
    return kind.build(told, kind.options())


def read(target: str, told: Message) -> Any:
    return json.loads(built(target, told).content)


@every_message
@pytest.mark.parametrize("target", ["standard", "cloudevents", "slack", "teams", "alertmanager"])
def test_the_same_message_always_gives_the_same_bytes(target: str, name: str) -> None:
    assert built(target, MESSAGES[name]) == built(target, MESSAGES[name])


@every_message
@pytest.mark.parametrize("target", ["slack", "teams", "alertmanager"])
def test_people_are_shown_no_link_to_what_only_programs_can_read(target: str, name: str) -> None:
    assert "/v1/" not in built(target, MESSAGES[name]).content.decode()


@pytest.mark.parametrize("target", ["standard", "cloudevents", "kafka"])
def test_programs_get_the_link_to_the_account_if_it_is_known(target: str) -> None:
    assert read(target, message())["data"] == {**ACCOUNT, "url": PAGE}
    assert read(target, message(link=""))["data"] == ACCOUNT


def test_an_unknown_target_is_answered_with_those_there_are() -> None:
    with pytest.raises(HealthError, match=f"Use one of: {', '.join(TARGETS)}"):
        target_of("carrier-pigeon")


# --- cloudevents ------------------------------------------------------------------------------------------------


@every_message
def test_the_sdk_reads_the_event(name: str) -> None:
    told = MESSAGES[name]
    body = built("cloudevents", told)
    assert body.content_type == "application/cloudevents+json"
    # The SDK gives an event without an id one of its own: what has to be there is looked for first.
    assert json.loads(body.content).keys() >= {"specversion", "id", "source", "type", "time", "datacontenttype"}
    event = JSONFormat().read(CloudEvent, body.content)
    assert (event.get_id(), event.get_source(), event.get_type()) == (str(ID), "/account-health", told.type)
    assert (event.get_specversion(), event.get_datacontenttype()) == ("1.0", "application/json")
    assert event.get_time() == AT
    assert event.get_data() == told.data_with_link
    assert event.get_subject() == told.facts.account_id
    assert event.get_attributes().keys() <= {
        "id", "source", "type", "specversion", "datacontenttype", "subject", "time",
    }  # fmt: skip


# --- slack ------------------------------------------------------------------------------------------------------


@every_message
def test_slack_takes_it(name: str) -> None:
    check_slack(read("slack", MESSAGES[name]))


def test_slack_shows_an_alert() -> None:
    body = read("slack", message(account_name="R&D <Labs>"))
    header, section, context, *links = body["blocks"]
    assert header["text"]["text"] == "R&amp;D &lt;Labs&gt; set off “At risk”: score 38 (red), was 62.5 (yellow)"
    assert body["text"].startswith(header["text"]["text"])
    assert [field["text"] for field in section["fields"]] == [
        "*Account*\nR&amp;D &lt;Labs&gt;",
        "*Account id*\nacme",
        "*Score*\n38, was 62.5",
        "*Band*\nred, was yellow",
        "*Rule*\nAt risk",
    ]
    assert [element["text"] for element in context["elements"]] == [
        "active users worsened: \N{MINUS SIGN}12.4 points",
        "open tickets worsened: \N{MINUS SIGN}9 points",
        "nps improved: +1.2 points",
    ]
    assert [each["text"]["text"] for each in links] == [
        f"<{PAGE}|Open the account>",
        f"<{PLAYBOOK}|Open the playbook>",
    ]


def test_a_link_is_one_link_whatever_is_in_it() -> None:
    body = read("slack", message(link="https://crm.example/a|b?c&d<e>", playbook_url=None))
    check_slack(body)
    link = body["blocks"][-1]["text"]["text"]
    assert link == "<https://crm.example/a%7Cb?c&amp;d&lt;e&gt;|Open the account>"


def test_slack_is_sent_no_link_that_is_too_long() -> None:
    for length, shown in ((2000, True), (2990, False)):
        blocks = read("slack", message(link=f"https://{'x' * length}"))["blocks"]
        assert ("Open the account" in json.dumps(blocks)) is shown


@pytest.mark.parametrize(
    ("status", "said", "refused"),
    [
        (200, b"ok", None),
        (200, b"ok\n", None),
        (200, b"no_service", "no_service"),
        (200, b"", "nothing"),
        (200, b"\xff\x00<html>" + b"x" * 4000, "<html>"),
        (202, b"ok", "ok"),
        (204, b"", "nothing"),
    ],
)
def test_slack_has_taken_what_it_says_ok_to(status: int, said: bytes, refused: str | None) -> None:
    found = target_of("slack").refusal(status, said)
    if refused is None:
        assert found is None
    else:
        assert refused in (found or "")
        assert len(found or "") < 600


# --- teams ------------------------------------------------------------------------------------------------------


@every_message
def test_teams_takes_it(name: str) -> None:
    body = built("teams", MESSAGES[name])
    assert body.content_type == "application/json"
    check_teams(body.content, json.loads(body.content))


def test_teams_shows_an_alert() -> None:
    card = read("teams", message(account_name="[Free](https://evil.example)"))["attachments"][0]["content"]
    shown = ["".join(run["text"] for run in each["inlines"]) for each in card["body"]]
    assert shown == [
        "[Free](https://evil.example) set off “At risk”: score 38 (red), was 62.5 (yellow)",
        "Account: [Free](https://evil.example)",
        "Account id: acme",
        "Score: 38, was 62.5",
        "Band: red, was yellow",
        "Rule: At risk",
        "active users worsened: \N{MINUS SIGN}12.4 points",
        "open tickets worsened: \N{MINUS SIGN}9 points",
        "nps improved: +1.2 points",
    ]
    assert card["actions"] == [
        {"type": "Action.OpenUrl", "title": "Open the account", "url": PAGE},
        {"type": "Action.OpenUrl", "title": "Open the playbook", "url": PLAYBOOK},
    ]


def test_teams_says_yes_with_any_2xx() -> None:
    assert target_of("teams").refusal(202, b"") is None


# --- alertmanager -----------------------------------------------------------------------------------------------


@every_message
def test_whatever_reads_alertmanager_takes_it(name: str) -> None:
    check_alertmanager(read("alertmanager", MESSAGES[name]))


def test_an_alert_as_alertmanager_would_send_it() -> None:
    body = read("alertmanager", message())
    (alert,) = body["alerts"]
    assert alert["labels"] == {
        "alertname": "At risk",
        "account_id": "acme",
        "rule_id": ACCOUNT["rule_id"],
        "band": "red",
        "severity": "critical",
    }
    assert (alert["startsAt"], alert["generatorURL"]) == ("2026-03-01T12:00:00Z", PAGE)
    assert alert["annotations"]["playbook_url"] == alert["annotations"]["runbook_url"] == PLAYBOOK
    assert alert["annotations"]["summary"].startswith("Sørensen 株式会社 set off “At risk”")
    assert "active users worsened" in alert["annotations"]["description"]
    assert body["externalURL"] == PAGE
    assert body["groupKey"] == f'{{}}:{{alertname="At risk", account_id="acme", rule_id="{ACCOUNT["rule_id"]}"}}'


def test_resolved_ends_what_firing_began() -> None:
    firing, resolved = read("alertmanager", MESSAGES["crossed"]), read("alertmanager", MESSAGES["resolved"])
    assert (firing["status"], resolved["status"]) == ("firing", "resolved")
    assert firing["groupKey"] == resolved["groupKey"]
    assert firing["alerts"][0]["fingerprint"] == resolved["alerts"][0]["fingerprint"]
    assert firing["alerts"][0]["labels"] == resolved["alerts"][0]["labels"]
    assert firing["alerts"][0]["startsAt"] == resolved["alerts"][0]["startsAt"] == "2026-03-01T12:00:00Z"
    assert resolved["alerts"][0]["endsAt"] == "2026-03-01T12:00:00Z"
    assert resolved["alerts"][0]["annotations"]["band"] == "green"
    other = read("alertmanager", message(account_id="beta"))
    assert other["groupKey"] != firing["groupKey"]
    assert other["alerts"][0]["fingerprint"] != firing["alerts"][0]["fingerprint"]


@pytest.mark.parametrize(
    ("name", "severity"),
    [
        ("crossed", "critical"),
        ("resolved", "critical"),
        ("unknown", "info"),
        ("backfill", "info"),
        ("source quiet", "warning"),
        ("source back", "info"),
        ("endpoint failing", "warning"),
        ("test", "info"),
    ],
)
def test_severity(name: str, severity: str) -> None:
    assert read("alertmanager", MESSAGES[name])["commonLabels"]["severity"] == severity


texts = st.text(max_size=20)
told = st.fixed_dictionaries(
    {
        "rule": texts.filter(bool),
        "score": st.none() | st.floats(0, 100),
        "band": st.sampled_from(["red", "yellow", "green", "unknown"]),
        "account_name": texts,
        "override": st.none() | st.just({"author": "Ann", "reason": "r", "score": 3, "band": None, "ended": False}),
    }
)


@given(told, told)
def test_nothing_that_identifies_an_incident_changes_within_an_episode(
    first: dict[str, Any], last: dict[str, Any]
) -> None:
    episode = {**EPISODE, "rule": first["rule"], "band": first["band"]}
    fired = read("alertmanager", message(**first, episode=episode))
    over = read("alertmanager", message("health.threshold.resolved", **last, state="resolved", episode=episode))
    assert fired["groupKey"] == over["groupKey"]
    assert fired["groupLabels"] == over["groupLabels"]
    for name in ("labels", "fingerprint", "startsAt"):
        assert fired["alerts"][0][name] == over["alerts"][0][name]


def test_what_an_earlier_version_began_ends_by_the_names_that_it_was_given() -> None:
    fired = read("alertmanager", message(episode=None))
    episode = {**EPISODE, "rule_id": None}
    over = read("alertmanager", message("health.threshold.resolved", rule="Renamed", state="resolved", episode=episode))
    assert fired["groupKey"] == over["groupKey"]
    assert fired["alerts"][0]["labels"] == over["alerts"][0]["labels"]


def test_what_is_about_many_is_its_own_alert_that_fires() -> None:
    body = read("alertmanager", MESSAGES["source back"])
    assert body["status"] == "firing"
    assert body["groupLabels"] == {"alertname": "source outage ended", "alert_id": str(ID)}


def test_a_hostile_name_stays_one_value() -> None:
    body = read("alertmanager", message(account_id='a"}, b="c\\'))
    assert body["groupKey"].startswith('{}:{alertname="At risk", account_id="a\\"}, b=\\"c\\\\", rule_id=')
    assert read("alertmanager", message(account_name=HOSTILE))["commonAnnotations"]["account_name"] == HOSTILE
