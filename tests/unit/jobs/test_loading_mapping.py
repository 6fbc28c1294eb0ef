"""The options `--topic`, `--column` and `--constant`: their forms, and the refusal of others."""

from pathlib import Path

import pytest

from service.jobs.load.column_mapping import parse_mapping
from service.jobs.load.event_fields import fields_of
from service.jobs.load.files import mapping_of, signal_of_topic
from service.runtime.errors import HealthError
from service.runtime.settings import Settings, Signal

REQUIRED: dict[Signal, list[str]] = {
    "usage": ["feature"],
    "ticket": ["ticket_id", "status", "priority", "created_at"],
    "survey": ["survey", "response_id", "score"],
    "account": [],
}
TABLE = Path("events.parquet")


@pytest.mark.parametrize("signal", REQUIRED)
def test_every_field_of_the_contract_can_be_filled(signal: Signal) -> None:
    fields = fields_of(signal)
    assert [name for name, field in fields.items() if field.required] == ["subject", "time", *REQUIRED[signal]]
    assert [name for name, field in fields.items() if not field.in_data] == ["subject", "time", "id", "source"]


def test_kinds_follow_from_the_contract() -> None:
    assert {name: field.kind for name, field in fields_of("ticket").items() if field.in_data} == {
        "ticket_id": "text",
        "status": "text",
        "priority": "text",
        "created_at": "moment",
        "solved_at": "moment",
        "reopens": "whole",
        "satisfaction": "text",
    }
    assert fields_of("account")["arr"].kind == "money"
    assert fields_of("account")["renews_on"].kind == "day"
    assert fields_of("survey")["scale_max"].kind == fields_of("survey")["scale_min"].kind == "number"


def test_a_mapping_is_read_from_the_options() -> None:
    mapping = parse_mapping("usage", ["subject=account", "time=t", "feature=a=b"], ["quantity=2"])
    assert mapping.columns == {"subject": "account", "time": "t", "feature": "a=b"}
    assert mapping.constants == {"quantity": "2"}
    assert mapping.data_fields == ["feature", "quantity"]


@pytest.mark.parametrize(
    ("columns", "constants", "message"),
    [
        (["subject"], [], "--column subject can't be used. Write it as --column OURS=THEIRS"),
        (["subject="], [], "--column subject= can't be used"),
        ([], ["=x"], "--constant =x can't be used. Write it as --constant FIELD=VALUE"),
        (["featur=a"], [], "usage.recorded has no field featur. It has subject, time, id, source, feature"),
        (["type=a"], [], "has no field type"),
        (["subject=a", "subject=b"], [], "--column is given twice for subject"),
        (["subject=a", "time=b", "feature=c"], ["feature=d"], "feature has both a --column and a --constant"),
        (["subject=a", "time=b"], [], "usage.recorded needs feature"),
        (
            ["subject=a", "time=b", "feature=c"],
            ["quantity=many"],
            "--constant quantity=many can't be used: Expected `int`",
        ),
        (["subject=a", "time=b", "feature=c"], ["quantity=0"], "--constant quantity=0 can't be used"),
        (["subject=a", "feature=c"], ["time=2020-01-01"], "--constant time=2020-01-01 can't be used"),
        (["subject=a", "feature=c"], ["time=2020-01-01T00:00:00"], "time zone|timezone"),
    ],
)
def test_an_option_that_cannot_be_used_is_named(columns: list[str], constants: list[str], message: str) -> None:
    with pytest.raises(HealthError, match=message.replace("(", r"\(")):
        parse_mapping("usage", columns, constants)


def test_only_topics_that_the_service_reads_are_taken() -> None:
    settings = Settings(_env_file=None, topic_usage="clicks")
    assert signal_of_topic(None, settings) is None
    assert signal_of_topic("clicks", settings) == "usage"
    with pytest.raises(
        HealthError, match=r"--topic usage-events is not one of this service's\. Give one of clicks, ticket"
    ):
        signal_of_topic("usage-events", settings)


def test_a_table_needs_a_topic_and_lines_take_no_mapping() -> None:
    lines = Path("events.ndjson.gz")
    assert mapping_of([lines], None, [], []) is None
    with pytest.raises(HealthError, match="Add --topic"):
        mapping_of([lines, TABLE], None, [], [])
    with pytest.raises(HealthError, match=r"for Parquet, and events\.ndjson.gz holds events already"):
        mapping_of([lines], "usage", ["subject=a"], [])
    with pytest.raises(HealthError, match=r"events\.txt has no known file extension\. End it in \.ndjson"):
        mapping_of([Path("events.txt")], None, [], [])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("events.csv", r"is CSV by its name.* becomes Parquet with: python -c"),
        ("events.CSV.gz", "is CSV by its name"),
        ("events.xlsx", r"Excel's \.xlsx .* becomes Parquet"),
        ("events.ndjson.zst", "is zstd by its name.* zstd -d"),
        ("events.parquet.gz", "is Parquet compressed again. Unpack it: gzip -d events.parquet.gz"),
        ("part-00000", "no known file extension"),
    ],
)
def test_a_form_that_is_not_read_is_named_with_what_to_do(name: str, message: str) -> None:
    with pytest.raises(HealthError, match=message):
        mapping_of([Path(name)], "usage", ["subject=a", "time=b", "feature=c"], [])


def test_case_of_endings_does_not_matter() -> None:
    assert mapping_of([Path("A.NDJSON"), Path("b.Json.GZ")], None, [], []) is None
    assert mapping_of([Path("A.PARQUET")], "usage", ["subject=a", "time=b", "feature=c"], []) is not None


def test_local_constants_take_a_time_zone_and_one_that_is_unknown_is_named() -> None:
    constants = ["time=2020-07-01T00:00:00"]
    parse_mapping("usage", ["subject=a", "feature=c"], constants, "Europe/Berlin")
    for zone in ("Mars/Phobos", "Europe", "../etc/passwd", "", "a\0b", "x" * 5000):
        with pytest.raises(HealthError, match="is not a time zone that this machine knows"):
            parse_mapping("usage", ["subject=a", "feature=c"], constants, zone)
