"""Damaged records by the hundred thousand: no consumer ends, and each record is folded, or stored with a reason.

`make fuzz SEED=… RECORDS=…` brings others, and more.
"""

import json
import os
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiokafka import ConsumerRecord
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from consumers.fold.decode import Tombstone, decode
from scoring.state.events import Event
from service.embedded.ports import free_port
from service.messaging.cloudevents import Decoded, type_of
from service.runtime.settings import Settings, Signal
from service.storage.ingest.dead_letters import header_to_text
from tests.faults import checks, log
from tests.faults.feed import Feed
from tests.faults.fleet import Fleet
from tests.faults.ground import Ground, ground, require_apache_kafka
from tests.faults.mutations import Mutations
from tests.support.commands import environment
from tests.support.sizes import sized

SEED = int(os.environ.get("FUZZ_SEED") or 1)
RECORDS = int(os.environ.get("FUZZ_RECORDS") or sized(50_000, 200_000))
MOST_SHOWN, LONGEST_SHOWN = 30, 400

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120 + RECORDS // 200)]

Position = tuple[str, int, int]
_SMALLER_THAN_MICROS = re.compile(r"(?<=\.\d{6})\d+")
"""Python knows no nanoseconds, RFC 3339 does."""


@dataclass
class Held:
    """The contents of the log, given the dead letters."""

    by_topic: Counter[str] = field(default_factory=Counter)
    events: dict[str, list[Event]] = field(default_factory=dict)
    """Each accepted event, once, by account."""
    copies: int = 0
    tombstones: int = 0
    wrong: list[str] = field(default_factory=list)


async def test_every_damaged_record_is_folded_or_kept_with_a_reason(server_folder: Path, tmp_path: Path) -> None:
    require_apache_kafka()
    async with ground(server_folder) as place, one_consumer(place, tmp_path) as (fleet, probes):
        feed = Feed(Mutations(SEED, datetime.now(UTC)), place.settings)
        feed.release(RECORDS)
        await feed.run(RECORDS)
        await fleet.until_folded(place.engine, feed.sent)
        counted = await counters(probes)
        async with place.engine.connect() as connection:
            letters = await dead_letters(connection)
            held = await hold_against(place.settings, letters)
            accounts = await checks.stored_accounts(connection)
        held.wrong += checks.check_folds(accounts, held.events, place.settings)
        await fleet.stop(fleet.members[0])
        fleet.check()
    shown = "\n".join(each[:LONGEST_SHOWN] for each in held.wrong[:MOST_SHOWN])
    assert not held.wrong, (
        f"SEED={SEED}: {len(held.wrong):,} records or accounts are wrong, the first of them:\n{shown}"
    )
    assert held.by_topic.total() == feed.sent
    assert {topic: sum(found.values()) for topic, found in counted.items()} == held.by_topic
    assert {topic: found["dead_letter"] for topic, found in counted.items()} == Counter(topic for topic, *_ in letters)
    assert sum(found["duplicate"] for found in counted.values()) == held.copies
    assert sum(found["tombstone"] for found in counted.values()) == held.tombstones
    # A run in which nearly all was taken, or nearly nothing, shows little.
    assert 0.3 < len(letters) / feed.sent < 0.9
    assert len({letter.reason for letter in letters.values()}) > 100


@asynccontextmanager
async def one_consumer(place: Ground, logs: Path) -> AsyncIterator[tuple[Fleet, str]]:
    """A consumer that takes any number of dead letters, and where its probes are."""
    port = free_port()
    variables = environment(
        place.settings,
        HEALTH_MAX_RECORD_BYTES=str(place.settings.max_record_bytes),
        HEALTH_DEAD_LETTER_MAX_RUN="0",
        HEALTH_DEAD_LETTER_MAX_SHARE="1",
        HEALTH_PROBES_PORT=str(port),
    )
    fleet = Fleet(variables, logs)
    try:
        await fleet.start()
        yield fleet, f"http://127.0.0.1:{port}"
    finally:
        await fleet.kill_all()


async def counters(probes: str) -> dict[str, Counter[str]]:
    """The number of records that the consumer has counted, by topic and outcome."""
    async with aiohttp.ClientSession() as session, session.get(f"{probes}/metrics") as answer:
        families = text_string_to_metric_families(await answer.text())
    found: dict[str, Counter[str]] = {}
    for sample in (sample for family in families for sample in family.samples if sample.name == "health_events_total"):
        found.setdefault(sample.labels["topic"], Counter())[sample.labels["outcome"]] += int(sample.value)
    return found


async def dead_letters(connection: AsyncConnection) -> dict[Position, Any]:
    """All dead letters, by position."""
    rows = await connection.execute(
        text('SELECT topic, partition, "offset", reason, key, value, headers FROM dead_letters')
    )
    return {(row.topic, row.partition, row.offset): row for row in rows}


async def hold_against(settings: Settings, letters: dict[Position, Any]) -> Held:
    """Check every record of the log: it is a whole dead letter, or an event by a naive reading of its JSON too."""
    signals: dict[str, Signal] = {topic: signal for signal, topic in settings.topics.items()}
    held = Held()
    known: set[tuple[str, int, int]] = set()
    async with log.reading(settings) as found:
        async for record in found.records():
            held.by_topic[record.topic] += 1
            letter = letters.get((record.topic, record.partition, record.offset))
            if letter is not None:
                held.wrong += _differences(record, letter)
                continue
            if record.value is not None:
                held.wrong += _doubts(signals[record.topic], record)
            decoded = decode(signals[record.topic], record, settings.max_record_bytes)
            if isinstance(decoded, Tombstone):
                held.tombstones += 1
            elif not isinstance(decoded, Decoded):
                held.wrong.append(f"{_where(record)}: neither folded nor kept: {decoded.reason}")
            elif (identity := (record.topic, record.partition, decoded.identity)) in known:
                held.copies += 1
            else:
                known.add(identity)
                held.events.setdefault(decoded.event.account_id, []).append(decoded.event)
    return held


def _differences(record: ConsumerRecord, letter: Any) -> Iterator[str]:
    # Postgres has no NUL in its texts, so one in a header's name is stored as JSON writes it.
    headers = [[name.replace("\x00", r"\u0000"), header_to_text(value)] for name, value in record.headers]
    for what, kept, sent in (
        ("key", letter.key, record.key),
        ("value", letter.value, record.value),
        ("headers", letter.headers, headers),
    ):
        if kept != sent:
            yield f"{_where(record)}: the dead letter's {what} is {kept!r}, what was sent {sent!r}"
    if record.value is None:
        yield f"{_where(record)}: a tombstone is a dead letter"
    if not letter.reason:
        yield f"{_where(record)}: no reason"


def _doubts(signal: Signal, record: ConsumerRecord) -> Iterator[str]:
    """The faults that a naive reading finds in a record that was accepted."""
    try:
        event = _plainly(record)
        moment = datetime.fromisoformat(_SMALLER_THAN_MICROS.sub("", event["time"].upper()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        yield f"{_where(record)}: taken, but {type(error).__name__} {error}: {record.value!r}"
        return
    if (event["specversion"], event["type"]) != ("1.0", type_of(signal)) or not moment.tzinfo:
        yield f"{_where(record)}: taken, but not of its topic or without a time zone: {record.value!r}"
    if not all(isinstance(event[name], str) and event[name] for name in ("id", "source", "subject")):
        yield f"{_where(record)}: taken, but nobody's: {record.value!r}"
    if not isinstance(event["data"], dict):
        yield f"{_where(record)}: taken, but without data: {record.value!r}"


def _plainly(record: ConsumerRecord) -> dict[str, Any]:
    headers = {name.lower(): value.decode(errors="replace") for name, value in record.headers if value is not None}
    if "ce_specversion" in headers and not headers.get("content-type", "").startswith("application/cloudevents+json"):
        attributes = {name.removeprefix("ce_"): value for name, value in headers.items()}
        return {**attributes, "data": json.loads(record.value)}
    # Extension attributes aren't read, so they may hold anything.
    event: dict[str, Any] = json.loads(record.value.decode(errors="replace"))
    return event


def _where(record: ConsumerRecord) -> str:
    return f"{record.topic} {record.partition} {record.offset}"
