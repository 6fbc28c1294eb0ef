"""The consumer on a real Kafka and a real Postgres: each event counts once, whatever happens in between."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from consumers.fold import runner
from consumers.fold.apply import FencedError, apply
from consumers.fold.batch import Batch
from scoring.history.score_run import decode_readings
from scoring.scorecards.document import parse
from scoring.scorecards.scorecard import compile_scorecard
from scoring.scorecards.scorecard import score as evaluation_of
from scoring.state.account_state import AccountState, decode, encode, fold
from scoring.state.events import UsageEvent
from service.evaluation.policy import PolicyCache, starter
from service.messaging.cloudevents import decode_structured, now_micros
from service.runtime.errors import HealthError
from service.runtime.settings import Settings
from service.storage.ingest import progress
from service.storage.ingest.progress import OffsetMove
from tests.support.cloud_events import cloud_event, produce, record, usage
from tests.support.cloud_events import encode as encode_event
from tests.support.service import consuming, eventually, folded_up_to, query

pytestmark = pytest.mark.anyio


async def test_all_four_signals_make_a_score(settings: Settings, engine: AsyncEngine) -> None:
    now = datetime.now(UTC)
    created = (now - timedelta(days=2)).isoformat()
    ticket = {"ticket_id": "t1", "status": "open", "priority": "urgent", "created_at": created}
    answers = [{"survey": "nps", "response_id": f"r{n}", "respondent_id": f"u{n}", "score": 9} for n in range(3)]
    events = [
        *((settings.topic_usage, usage("acme", time=(now - timedelta(days=day)).isoformat())) for day in range(5)),
        (settings.topic_ticket, cloud_event("ticket", "acme", ticket)),
        *((settings.topic_survey, cloud_event("survey", "acme", answer)) for answer in answers),
        (settings.topic_account, cloud_event("account", "acme", {"name": "Acme", "seats": 4, "arr": 1200.5})),
    ]
    async with consuming(settings):
        await produce(settings.kafka_bootstrap_servers, [record(topic, event) for topic, event in events])
        await folded_up_to(engine, len(events))
    score = (await query(engine, "SELECT score, CAST(readings AS text) AS readings FROM scores"))[0]
    card = compile_scorecard(parse(starter("default"), settings.retention_days), 1)
    evaluation = evaluation_of(decode_readings(score.readings), card, 0)
    measures = {name: result.value for name, result in evaluation.measures.items()}
    assert measures["active_days"] == 5
    assert measures["seat_utilization"] == 25
    assert measures["urgent_open_tickets"] == 1
    assert measures["usage_in_the_quarter"] == 5
    assert measures["nps"] == 100
    assert score.score == evaluation.score
    account = (await query(engine, "SELECT name, seats, arr FROM accounts"))[0]
    assert (account.name, account.seats, float(account.arr)) == ("Acme", 4, 1200.5)


async def test_duplicates_are_dropped_within_a_batch_and_across_restarts(
    settings: Settings, engine: AsyncEngine
) -> None:
    topic = settings.topic_usage
    once, again = usage("acme"), usage("acme")
    async with consuming(settings):
        await produce(settings.kafka_bootstrap_servers, [record(topic, once)] * 2 + [record(topic, again)])
        await folded_up_to(engine, 3)
    async with consuming(settings):
        await produce(settings.kafka_bootstrap_servers, [record(topic, once), record(topic, again)])
        await folded_up_to(engine, 5)
    stored = (await query(engine, "SELECT state FROM usage_states"))[0].state
    assert sum(decode(stored, None, None, None).usage.days.values()) == 2


async def test_consumers_that_come_and_go_count_each_event_once(settings: Settings, engine: AsyncEngine) -> None:
    """Consumers start and stop while events arrive; at the end every account equals a fold of all events at once."""
    count, accounts = 3000, 40
    events = [usage(f"account-{number % accounts}", f"feature-{number % 7}") for number in range(count)]
    records = [record(settings.topic_usage, event) for event in events]

    async def send() -> None:
        for start in range(0, count, 300):
            await produce(settings.kafka_bootstrap_servers, records[start : start + 300])
            await asyncio.sleep(0.1)

    sending = asyncio.create_task(send())
    for _ in range(2):
        async with consuming(settings):
            await asyncio.sleep(0.7)
            async with consuming(settings):
                await asyncio.sleep(0.7)
    await sending
    async with consuming(settings):
        await folded_up_to(engine, count)

    expected: dict[str, Counter[str]] = {}
    for event in events:
        expected.setdefault(event["subject"], Counter())[event["data"]["feature"]] += 1
    found = {
        row.account_id: Counter(
            {
                feature: sum(days.values())
                for feature, days in decode(row.state, None, None, None).usage.features.items()
            }
        )
        for row in await query(engine, "SELECT account_id, state FROM usage_states")
    }
    assert found == expected


async def test_a_claim_that_was_taken_over_writes_nothing(settings: Settings, engine: AsyncEngine) -> None:
    partition = (settings.topic_usage, 0)
    async with engine.begin() as connection:
        old = (await progress.claim(connection, {partition: 0}, "first"))[partition]
    async with engine.begin() as connection:
        new = (await progress.claim(connection, {partition: 0}, "second"))[partition]
    assert (old.epoch, new.epoch) == (1, 2)
    today = int(datetime.now(UTC).timestamp()) // 86_400
    event = UsageEvent("acme", today * 86_400_000_000, today, today, "login", None, 1)
    batch = Batch(moves={partition: OffsetMove(old, 10, 0)}, events={"acme": [event]})
    policies = PolicyCache(settings.retention_days, lambda: 0.0)

    with pytest.raises(FencedError):
        await apply(engine, batch, policies, datetime.now(UTC), "")
    assert await query(engine, "SELECT 1 FROM scores") == []

    batch.moves = {partition: OffsetMove(new, 10, 0)}
    assert (await apply(engine, batch, policies, datetime.now(UTC), "")).accounts == 1
    # The answer to the commit was lost, so the same batch comes again: it must not count twice.
    assert (await apply(engine, batch, policies, datetime.now(UTC), "")).accounts == 0
    stored = (await query(engine, "SELECT state FROM usage_states"))[0].state
    assert decode(stored, None, None, None).usage.days == {today: 1}


async def test_what_is_ours_does_not_move_on_without_its_events_when_the_rest_was_taken_over(
    settings: Settings, engine: AsyncEngine
) -> None:
    """A paused consumer whose partitions are being claimed one after the other loses its batch, not events."""
    ours, theirs = (settings.topic_usage, 0), (settings.topic_usage, 1)
    async with engine.begin() as connection:
        claims = await progress.claim(connection, {ours: 0, theirs: 0}, "first")
    async with engine.begin() as connection:
        await progress.claim(connection, {theirs: 0}, "second")
    today = int(datetime.now(UTC).timestamp()) // 86_400
    event = UsageEvent("acme", today * 86_400_000_000, today, today, "login", None, 1)
    moves = {partition: OffsetMove(claim, 10, 0) for partition, claim in claims.items()}
    batch = Batch(moves=moves, events={"acme": [event]})

    with pytest.raises(FencedError) as fenced:
        await apply(engine, batch, PolicyCache(settings.retention_days, lambda: 0.0), datetime.now(UTC), "")
    assert fenced.value.partitions == {theirs}
    assert {row.next_offset for row in await query(engine, "SELECT next_offset FROM progress")} == {0}


async def test_two_writers_of_one_account_both_count(settings: Settings, engine: AsyncEngine) -> None:
    """Two partitions' batches meet at one account: the one that waits must see what the other wrote."""
    today = int(datetime.now(UTC).timestamp()) // 86_400
    policies = PolicyCache(settings.retention_days, lambda: 0.0)

    async def write(number: int) -> None:
        partition = (settings.topic_usage, number)
        async with engine.begin() as connection:
            claim = (await progress.claim(connection, {partition: 0}, "test"))[partition]
        event = UsageEvent("acme", today * 86_400_000_000 + number, today, today, f"feature-{number}", None, 1)
        batch = Batch(moves={partition: OffsetMove(claim, 1, 0)}, events={"acme": [event]})
        await apply(engine, batch, policies, datetime.now(UTC), "")

    await asyncio.gather(*(write(number) for number in range(5)))
    stored = (await query(engine, "SELECT state FROM usage_states"))[0].state
    assert decode(stored, None, None, None).usage.days == {today: 5}


async def test_going_back_folds_nothing_twice(settings: Settings, engine: AsyncEngine) -> None:
    """An operator sets every partition back to its beginning: remembered events aren't counted again."""
    events = [usage("acme", f"feature-{number}") for number in range(40)]
    records = [record(settings.topic_usage, event) for event in events]
    for first, last in ((0, 10), (10, 40)):
        async with consuming(settings):
            await produce(settings.kafka_bootstrap_servers, records[first:last])
            await folded_up_to(engine, last)
    async with engine.begin() as connection:
        await progress.reset(connection, {(settings.topic_usage, number): 0 for number in range(3)})
    async with consuming(settings):
        await folded_up_to(engine, 40)
    stored = (await query(engine, "SELECT state FROM usage_states"))[0].state
    assert sum(decode(stored, None, None, None).usage.days.values()) == 40


async def test_a_partition_that_is_set_back_is_taken_up_though_nothing_comes(
    settings: Settings, engine: AsyncEngine
) -> None:
    events = [usage("acme", f"feature-{number}") for number in range(12)]
    async with consuming(settings):
        await produce(settings.kafka_bootstrap_servers, [record(settings.topic_usage, event) for event in events])
        await folded_up_to(engine, 12)
        [row] = await query(engine, "SELECT partition FROM progress WHERE next_offset = 12")
        async with engine.begin() as connection:
            await connection.exec_driver_sql("DELETE FROM seen_events")
            await progress.reset(connection, {(settings.topic_usage, row.partition): 2})
        await folded_up_to(engine, 12)
    stored = (await query(engine, "SELECT state FROM usage_states"))[0].state
    assert sum(decode(stored, None, None, None).usage.days.values()) == 12 + 10


async def test_a_halted_partition_is_not_skipped(settings: Settings, engine: AsyncEngine) -> None:
    """Progress that lies beyond the log's end halts the partition; the others go on."""
    events = [usage(f"account-{number}") for number in range(30)]
    async with engine.begin() as connection:
        await progress.reset(connection, {(settings.topic_usage, 0): 999})
    async with consuming(settings):
        await produce(settings.kafka_bootstrap_servers, [record(settings.topic_usage, event) for event in events])

        async def others_are_done() -> bool:
            rows = await query(engine, "SELECT partition FROM progress WHERE next_offset > 0 AND next_offset < 999")
            return len(rows) == 2

        await eventually(others_are_done, "the other two partitions folded")
        await asyncio.sleep(0.3)
    rows = await query(
        engine, "SELECT next_offset FROM progress WHERE partition = 0 AND topic = :t", t=settings.topic_usage
    )
    assert rows[0].next_offset == 999


async def test_state_equals_a_fold_of_the_events_at_once(settings: Settings, engine: AsyncEngine) -> None:
    """Bytes in Postgres are those of the pure fold, for all that arrived in pieces."""
    now = datetime.now(UTC)
    events = [
        usage("acme", f"feature-{number % 5}", time=(now - timedelta(hours=number)).isoformat())
        for number in range(200)
    ]
    async with consuming(settings):
        for start in range(0, 200, 50):
            part = [record(settings.topic_usage, event) for event in events[start : start + 50]]
            await produce(settings.kafka_bootstrap_servers, part)
            await folded_up_to(engine, start + 50)
    whole = AccountState()
    fold(whole, [decode_structured("usage", encode_event(event), now_micros()).event for event in events])
    stored = (await query(engine, "SELECT state FROM usage_states"))[0].state
    assert stored == encode(whole.usage)


async def test_a_missing_topic_is_named_with_its_remedy(database_settings: Settings, bootstrap: str) -> None:
    settings = database_settings.model_copy(update={"kafka_bootstrap_servers": bootstrap, "topic_usage": "not-there"})
    with pytest.raises(HealthError, match=r"not-there.*account-health topics create"):
        await runner.run(settings, asyncio.Event())
