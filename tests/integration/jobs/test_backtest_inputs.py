"""A back-test on what the service has itself: its topics, the scorecards and rules in force, and account events."""

import asyncio
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer
from sqlalchemy.ext.asyncio import AsyncEngine

from scoring.backtest.outcomes import Outcome
from scoring.scorecards.document import parse
from scoring.state.calendar import MICROSECONDS_PER_DAY, day_of, to_day_text, to_micros
from service.jobs.backtest.attribute_outcomes import read_attribute_outcomes
from service.jobs.backtest.engine_local import LocalEngine
from service.jobs.backtest.partitioned_log import PartitionedLog
from service.jobs.backtest.run import replay_log
from service.jobs.backtest.topic_log import partition_topics
from service.jobs.load.terminal import StoppedError
from service.messaging.topics import create_topics
from service.runtime.errors import HealthError
from service.runtime.settings import Settings
from service.storage.accounts import accounts
from service.storage.policy import rules, scorecards
from tests.support.cloud_events import cloud_event, encode, produce, record, usage
from tests.support.commands import command, environment
from tests.support.event_logs import BEGIN, DAYS, log_of, replayed, some_policy
from tests.support.service import settings_for
from tests.support.sweeping import Clock, described
from tests.support.topics import create_topics as make_topics

pytestmark = pytest.mark.anyio
LAST = to_micros(BEGIN) + DAYS * MICROSECONDS_PER_DAY


async def read(settings: Settings, folder: Path) -> PartitionedLog:
    return await partition_topics(settings, folder, asyncio.Event())


def on_day(day: int) -> str:
    return f"2024-{1 + day // 28:02}-{1 + day % 28:02}T09:00:00Z"


async def send(settings: Settings, events: list[dict[str, Any]]) -> None:
    topic_of = {"usage.recorded": "usage", "ticket.changed": "ticket", "survey.answered": "survey"}
    topics = settings.topics
    records = [record(topics[topic_of.get(each["type"], "account")], each) for each in events]  # type: ignore[index]
    await produce(settings.kafka_bootstrap_servers, records)


async def test_topics_give_the_rows_that_their_events_give_in_a_file(settings: Settings, tmp_path: Path) -> None:
    events = log_of(["acme", "Äpfel", "zeta"])
    await send(settings, events)
    log = await read(settings, tmp_path)
    policy = some_policy()
    rows = list(replay_log(log, policy, LocalEngine(1), until=LAST, advance=lambda _: None))
    assert rows == replayed(events, policy, LAST)
    assert any(crossing.owner for row in rows for crossing in row.crossings)
    assert (log.contents.events, log.contents.accounts, log.contents.skipped) == (len(events), 3, 0)


async def test_records_that_consumers_refuse_are_left_out_and_counted(
    database_url: str, bootstrap: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings = settings_for(database_url, bootstrap, topic_prefix)
    topic = settings.topic_usage
    await make_topics(bootstrap, *settings.topics.values())  # their timestamps are the producers'
    wrong_kind = record(topic, cloud_event("survey", "acme", {"survey": "nps", "response_id": "1", "score": 3}))
    too_large = record(topic, usage("acme", "x" * settings.max_record_bytes))
    junk = [(topic, b"acme", b"{"), (topic, b"acme", None), wrong_kind, too_large]
    await produce(settings.kafka_bootstrap_servers, [*junk, record(topic, usage("acme"))])
    async with AIOKafkaProducer(bootstrap_servers=settings.kafka_bootstrap_servers) as producer:
        binary = {"ce_specversion": b"1.0", "ce_id": b"1", "ce_source": b"/s", "ce_type": b"usage.recorded"}
        headers = [*binary.items(), ("ce_subject", b"zeta"), ("ce_time", b"2024-05-01T10:00:00Z")]
        body = json.dumps({"feature": "login"}).encode()
        await producer.send_and_wait(topic, body, key=b"zeta", headers=headers)
        await producer.send_and_wait(topic, encode(usage("acme")), timestamp_ms=int((time.time() + 1_800) * 1000))
    log = await read(settings, tmp_path)
    assert (log.contents.events, log.contents.accounts, log.contents.skipped) == (2, 2, 4)


async def test_a_log_of_topics_is_kept_by_its_contents(settings: Settings, tmp_path: Path) -> None:
    await send(settings, [usage("acme", id="1")])
    first = await read(settings, tmp_path)
    assert (await read(settings, tmp_path)).folder == first.folder
    await send(settings, [usage("acme", id="2")])
    second = await read(settings, tmp_path)
    assert second.folder != first.folder
    assert {each.name for each in tmp_path.iterdir()} == {first.folder.name, second.folder.name}


async def test_topics_that_cannot_be_a_log_say_why(
    settings: Settings, bootstrap: str, database_url: str, tmp_path: Path
) -> None:
    with pytest.raises(HealthError, match=r"no events\. Nothing was replayed\. Send events, or give a log as files"):
        await read(settings, tmp_path)
    missing = settings_for(database_url, bootstrap, "nowhere-")
    with pytest.raises(HealthError, match=r"has no topic nowhere-.*topics create"):
        await read(missing, tmp_path)
    away = settings_for(database_url, "127.0.0.1:1", "")
    with pytest.raises(HealthError, match="can't be reached"):
        await read(away, tmp_path)
    await send(settings, [usage("acme")])
    stop = asyncio.Event()
    stop.set()
    with pytest.raises(StoppedError, match="Stopped while reading"):
        await partition_topics(settings, tmp_path, stop)
    assert list(tmp_path.iterdir()) == []


def crm_events() -> list[dict[str, Any]]:
    """Twelve accounts that renew every 28 days and stay, and twelve whose use ends before they leave."""
    events = []
    for number in range(24):
        account, leaves = f"account-{number}", number % 2 == 1
        used = range(0, 84 if leaves else 140, 2)
        events += [usage(account, id=f"{account}-{day}", time=on_day(day)) for day in used]
        attributes = {"owner": "ann" if number < 6 else "bob", "renews_on": on_day(100)[:10]}
        events.append(cloud_event("account", account, attributes, id=f"{account}-a", time=on_day(1)))
        if leaves:
            left = {"churned_on": on_day(101)[:10]}
            events.append(cloud_event("account", account, left, id=f"{account}-left", time=on_day(104)))
    return events


async def test_account_events_say_what_became_of_accounts(settings: Settings, tmp_path: Path) -> None:
    await send(settings, crm_events())
    log = await read(settings, tmp_path)
    renewed, left = (to_day_text(on_day(day)[:10]) for day in (100, 101))
    found = read_attribute_outcomes(log, still_there=False)
    assert sorted(found) == sorted(
        Outcome(f"account-{number}", left if number % 2 else renewed, churned=number % 2 == 1) for number in range(24)
    )
    there = read_attribute_outcomes(log, still_there=True)
    assert Outcome("account-0", day_of(log.contents.newest), churned=False) in there
    await send(settings, [cloud_event("account", f"account-{number}", {"churned_on": None}) for number in range(24)])
    with pytest.raises(HealthError, match="no account of it has churned_on"):
        read_attribute_outcomes(await read(settings, tmp_path), still_there=True)


async def test_what_the_service_knows_serves_where_the_log_has_no_account_event(
    settings: Settings, engine: AsyncEngine, tmp_path: Path
) -> None:
    sent = [event for event in crm_events() if event["type"] != "account.changed"]
    await send(settings, [*sent, cloud_event("account", "account-0", {"renews_on": None}, time=on_day(1))])
    log = await read(settings, tmp_path)
    left = {"account-0": on_day(10), "account-1": on_day(101), "account-2": None, "strange": on_day(101)}
    now = datetime.now(UTC)
    events = {name: [described(name, now, churned_on=day and day[:10])] for name, day in left.items()}
    await Clock(engine, settings).fold(events, now)
    async with engine.connect() as connection:
        stored = await accounts.departures(connection)
    ends = day_of(log.contents.newest)
    assert sorted(read_attribute_outcomes(log, still_there=True, stored=stored)) == [
        Outcome("account-0", ends, churned=False),
        Outcome("account-1", to_day_text(on_day(101)[:10]), churned=True),
        Outcome("account-2", ends, churned=False),
    ]


async def test_the_command_judges_what_is_in_force_by_the_topics(
    settings: Settings, engine: AsyncEngine, tmp_path: Path
) -> None:
    await create_topics(settings)
    await send(settings, crm_events())
    card = {
        "name": "default",
        "measures": [{"measure": "days_since_last_use", "weight": 1, "curve": [[0, 100], [50, 0]]}],
    }
    async with engine.begin() as connection:
        await scorecards.publish(connection, parse(card, settings.retention_days))
        for name, enabled in (("Quiet", True), ("Off", False)):
            await rules.create(
                connection,
                {"id": uuid4(), "name": name, "kind": "silence", "enabled": enabled, "document": {"level": 5}},
            )
    report = tmp_path / "report.json"
    env = environment(settings)
    words = ("backtest", "--topics", "--in-force", "--processes", "1", "--work-dir", str(tmp_path), "--json")
    shown = await asyncio.to_thread(command, *words, str(report), env=env)
    assert "24 decisions 3 days ahead, 12 churned." in shown.stdout
    found = json.loads(report.read_text())
    assert [score["name"] for score in found["scores"]] == ["in force", "plain count"]
    assert found["scores"][0]["auc"] == [1, 1, 1]
    (quiet,) = found["rules"]
    assert quiet["name"] == "Quiet"
    assert [(each["owner"], each["alerts"]) for each in quiet["owners"]] == [("bob", 9), ("ann", 3)]
    assert "Rules: alerts by owner of the account" in shown.stdout
    beat = await asyncio.to_thread(command, *words, str(report), "--horizon-days", "28", env=env)
    found = json.loads(report.read_text())
    assert "churned within 28 days." in beat.stdout
    assert (found["decisions"]["churned"], found["horizon_days"]) == (12, 28)
    assert found["decisions"]["decisions"] > 24
