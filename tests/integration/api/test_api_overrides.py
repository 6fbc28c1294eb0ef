"""/v1/accounts/{id}/health/override: a score or band by hand counts at once, for as long as it is to."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from scoring.history.journal_codec import decode_journal
from service.runtime.settings import Settings
from tests.support.api import Api
from tests.support.service import query
from tests.support.sweeping import START, Clock, by_active_days, used

pytestmark = pytest.mark.anyio

PATH = "/v1/accounts/acme/health/override"
RED = {"band": "red", "reason": "Their champion has left.", "author": "ann"}
HOUR = timedelta(hours=1)


@pytest.fixture
async def clock(engine: AsyncEngine, database_settings: Settings, api: Api) -> Clock:
    """An account with 75 points, and rules that watch its band and its score."""
    clock = Clock(engine, database_settings)
    await clock.publish(by_active_days(20), START)
    await clock.reevaluate(START)
    await clock.add_rule("Red", "band", to=["red"])
    await clock.add_rule("At risk", "score", direction="below", level=50.0)
    await clock.fold({"acme": [used("acme", START - timedelta(days=day)) for day in range(15)]}, START)
    api.clock.now = START
    return clock


async def told(engine: AsyncEngine) -> list[Any]:
    return [row.data for row in await query(engine, "SELECT data FROM alerts ORDER BY sequence")]


async def crossings(engine: AsyncEngine) -> list[tuple[str, str]]:
    return [(each["rule"], each["state"]) for each in await told(engine)]


async def stored(engine: AsyncEngine) -> Any:
    return (await query(engine, "SELECT * FROM scores WHERE account_id = 'acme'"))[0]


def notes(journal: bytes) -> list[str]:
    entry = decode_journal(journal, lambda name, version: None).open
    assert entry is not None
    assert entry.cause == "override"
    return list(entry.notes)


async def test_it_counts_at_once_beside_what_is_computed(clock: Clock, engine: AsyncEngine, api: Api) -> None:
    answer = await api.put(PATH, RED)
    assert (answer.status, answer.json) == (
        200,
        RED | {"score": None, "set_at": "2026-03-02T12:00:00Z", "expires_at": None},
    )
    assert await crossings(engine) == [("Red", "firing")]
    (alert,) = await told(engine)
    assert (alert["score"], alert["band"], alert["previous_band"]) == (75, "red", "green")
    by_hand = {"author": "ann", "reason": RED["reason"], "score": None, "band": "red"}
    assert alert["override"] == {**by_hand, "ended": False}
    row = await stored(engine)
    assert (row.score, row.band, row.override["band"]) == (75, "green", "red")
    assert notes(row.journal) == ["set by ann: Their champion has left."]

    assert (await api.delete(PATH)).status == 204
    assert await crossings(engine) == [("Red", "firing"), ("Red", "resolved")]
    resolved = (await told(engine))[-1]
    assert (resolved["band"], resolved["previous_band"]) == ("green", "red")
    assert resolved["override"] == {**by_hand, "ended": True}
    row = await stored(engine)
    assert (row.score, row.override) == (75, None)
    assert notes(row.journal)[-1] == "taken back"
    assert (await api.delete(PATH)).status == 404


async def test_no_measure_is_named_for_having_moved_a_score_that_was_set_by_hand(
    clock: Clock, engine: AsyncEngine, api: Api
) -> None:
    await api.put(PATH, {"score": 20, "reason": "r", "author": "ann"})
    # The account loses points of its own meanwhile, hidden by the override.
    api.clock.now = START + timedelta(days=20)
    await clock.sweep(api.clock.now)
    assert [(each["rule"], each["drivers"]) for each in await told(engine)] == [("At risk", []), ("Red", [])]
    assert (await api.delete(PATH)).status == 204
    missing = [{"measure": "active_days", "delta": -50}]
    assert [(each["state"], each["drivers"]) for each in (await told(engine))[2:]] == [("resolved", missing)] * 2
    api.clock.now += timedelta(days=5)
    await clock.sweep(api.clock.now)
    fell = (await told(engine))[4]
    assert (fell["state"], fell["override"]) == ("firing", None)
    assert fell["drivers"] == [{"measure": "active_days", "delta": -25}]


async def test_a_score_brings_its_band_and_another_override_takes_its_place(
    clock: Clock, engine: AsyncEngine, api: Api
) -> None:
    scored = {"score": 45, "reason": "r", "author": "ann"}
    assert (await api.put(PATH, scored)).json["band"] is None
    assert await crossings(engine) == [("At risk", "firing")]
    assert (await told(engine))[0]["band"] == "yellow"
    both = (await api.put(PATH, scored | {"score": 80.5, "band": "red"})).json
    assert (both["score"], both["band"]) == (80.5, "red")
    assert sorted((await crossings(engine))[1:]) == [("At risk", "resolved"), ("Red", "firing")]


async def test_it_ends_on_time_with_no_event(clock: Clock, engine: AsyncEngine, api: Api) -> None:
    await clock.sweep(START)
    expiry = START + 3 * HOUR
    answer = await api.put(PATH, RED | {"expires_at": "2026-03-02T16:00:00+01:00"})
    assert answer.json["expires_at"] == "2026-03-02T15:00:00Z"
    assert (await stored(engine)).due_at == expiry
    assert await clock.sweep(expiry - timedelta(microseconds=1)) == 0
    assert await crossings(engine) == [("Red", "firing")]
    assert await clock.sweep(expiry) == 1
    assert await crossings(engine) == [("Red", "firing"), ("Red", "resolved")]
    row = await stored(engine)
    assert (row.override, row.due_at) == (None, datetime(2026, 3, 3, tzinfo=START.tzinfo))
    assert notes(row.journal) == ["set by ann: Their champion has left.", "ann's has expired"]
    api.clock.now = expiry
    assert (await api.delete(PATH)).status == 404


async def test_it_stays_over_days_until_it_expires_and_history_knows_it(
    clock: Clock, engine: AsyncEngine, api: Api
) -> None:
    api.clock.now = START + timedelta(days=1)
    expiry = START + timedelta(days=3)
    await api.put(PATH, RED | {"expires_at": expiry.isoformat()})
    for day in range(1, 5):
        await clock.sweep(datetime(2026, 3, 2, tzinfo=START.tzinfo) + timedelta(days=day))
        await clock.sweep(START + timedelta(days=day))
    rows = await query(
        engine, "SELECT since, day, override, journal FROM history WHERE day >= '2026-03-02' ORDER BY day"
    )
    days = [(row.since.day, row.day.day, row.override["author"] if row.override else None) for row in rows]
    assert days == [(2, 2, None), (3, 4, "ann")]
    assert notes(rows[1].journal) == ["set by ann: Their champion has left."]
    row = await stored(engine)
    assert (row.since.day, row.day.day, row.override) == (5, 6, None)
    assert notes(row.journal) == ["ann's has expired"]
    resolved = await query(engine, "SELECT created_at FROM alerts WHERE state = 'resolved'")
    assert [each.created_at for each in resolved] == [expiry]


async def test_events_do_not_end_it(clock: Clock, engine: AsyncEngine, api: Api) -> None:
    await api.put(PATH, RED)
    await clock.fold({"acme": [used("acme", START + HOUR)]}, START + HOUR)
    assert (await stored(engine)).override["band"] == "red"
    assert await crossings(engine) == [("Red", "firing")]


async def test_one_that_has_expired_is_none_any_more(clock: Clock, engine: AsyncEngine, api: Api) -> None:
    """Though the sweeper hasn't ended it yet."""
    await api.put(PATH, RED | {"expires_at": (START + HOUR).isoformat()})
    api.clock.now = START + 2 * HOUR
    assert (await api.delete(PATH)).status == 404
    await clock.fold({"acme": [used("acme", START + 2 * HOUR)]}, START + 2 * HOUR)
    assert (await stored(engine)).override is None
    assert await crossings(engine) == [("Red", "firing"), ("Red", "resolved")]


async def test_it_fires_though_the_source_of_events_is_quiet(clock: Clock, engine: AsyncEngine, api: Api) -> None:
    """An override doesn't depend on events, so their silence doesn't matter."""
    await query(engine, "UPDATE usage_states SET source = '/tests' RETURNING 1")
    columns = "(id, source, began_on, noticed_at) VALUES (gen_random_uuid(), '/tests', now(), now())"
    await query(engine, f"INSERT INTO source_outages {columns} RETURNING 1")
    await api.put(PATH, RED)
    assert await crossings(engine) == [("Red", "firing")]


async def test_an_account_that_isn_t_there_is_not_made(engine: AsyncEngine, api: Api) -> None:
    assert (await api.put("/v1/accounts/nobody/health/override", RED)).status == 404
    assert (await api.delete("/v1/accounts/nobody/health/override")).status == 404
    assert await query(engine, "SELECT 1 FROM accounts") == await query(engine, "SELECT 1 FROM scores") == []


async def test_ids_with_a_slash(clock: Clock, engine: AsyncEngine, api: Api) -> None:
    await clock.fold({"a/b": [used("a/b", START)]}, START)
    assert (await api.put("/v1/accounts/a%2Fb/health/override", RED)).status == 200
    assert len(await query(engine, "SELECT 1 FROM scores WHERE override IS NOT NULL AND account_id = 'a/b'")) == 1


async def test_what_can_t_be_used_is_named(clock: Clock, engine: AsyncEngine, api: Api) -> None:
    for body, field in (
        ({"reason": "r", "author": "ann"}, "score"),
        (RED | {"band": None}, "score"),
        (RED | {"band": "unknown"}, "band"),
        (RED | {"score": 100.5}, "score"),
        (RED | {"score": -1}, "score"),
        (RED | {"score": "40"}, "score"),
        (RED | {"score": True}, "score"),
        ({"band": "red", "author": "ann"}, "reason"),
        ({"band": "red", "reason": "r"}, "author"),
        (RED | {"reason": ""}, "reason"),
        (RED | {"reason": "r" * 1001}, "reason"),
        (RED | {"reason": "a\x00"}, "reason"),
        (RED | {"author": "a" * 201}, "author"),
        (RED | {"author": "a\nb"}, "author"),
        (RED | {"expires_at": START.isoformat()}, "expires_at"),
        (RED | {"expires_at": "2026-03-03T12:00:00"}, "expires_at"),
        (RED | {"expires_at": "9999-12-31T23:59:59-12:00"}, "expires_at"),
        (RED | {"expires_at": "soon"}, "expires_at"),
        (RED | {"until": None}, "until"),
    ):
        answer = await api.put(PATH, body)
        assert (answer.status, answer.fields) == (422, [field]), body
    assert (await stored(engine)).override is None
