"""/v1/alerts/{id}/acknowledge and …/snooze: acknowledging an alert, and delaying its rule."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from service.runtime.settings import Settings
from tests.support.api import Api
from tests.support.service import query
from tests.support.sweeping import START, Clock, by_active_days, used

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)


@pytest.fixture
async def clock(engine: AsyncEngine, database_settings: Settings, api: Api) -> Clock:
    """An account with 75 points, and a rule that fires for it since it was overridden."""
    clock = Clock(engine, database_settings)
    await clock.publish(by_active_days(20), START)
    await clock.add_rule("At risk", "score", direction="below", level=50.0)
    await clock.reevaluate(START)
    await clock.fold({"acme": [used("acme", START - timedelta(days=day)) for day in range(15)]}, START)
    await breach(api, START)
    return clock


async def breach(api: Api, now: datetime) -> None:
    api.clock.now = now
    override = {"score": 10, "reason": "Their champion has left.", "author": "ann"}
    assert (await api.put("/v1/accounts/acme/health/override", override)).status == 200


async def recover(api: Api, now: datetime) -> None:
    api.clock.now = now
    assert (await api.delete("/v1/accounts/acme/health/override")).status == 204


async def told(engine: AsyncEngine) -> list[tuple[str, datetime]]:
    return [tuple(row) for row in await query(engine, "SELECT state, created_at FROM alerts ORDER BY sequence")]


async def newest(api: Api) -> Any:
    return (await api.get("/v1/alerts?page_size=1")).items[0]


async def test_acknowledging(clock: Clock, api: Api) -> None:
    alert = await newest(api)
    path = f"/v1/alerts/{alert['id']}/acknowledge"
    api.clock.now = START + HOUR
    answer = await api.post(path, {"by": "ann"})
    seen = alert | {"acknowledged_at": "2026-03-02T13:00:00Z", "acknowledged_by": "ann"}
    assert (answer.status, answer.json) == (200, seen)
    api.clock.now = START + 2 * HOUR
    assert (await api.post(path, {"by": "bob"})).json == seen
    assert await newest(api) == (await api.get(f"/v1/alerts/{alert['id']}")).json == seen
    await recover(api, START + 3 * HOUR)
    assert (await api.post(path, {"by": "ann"})).json == seen


async def test_what_is_over_can_t_be_acknowledged(clock: Clock, engine: AsyncEngine, api: Api) -> None:
    fired = await newest(api)
    await recover(api, START + HOUR)
    for each in (fired, await newest(api)):
        assert (await api.post(f"/v1/alerts/{each['id']}/acknowledge", {"by": "ann"})).status == 409
    await breach(api, START + 2 * HOUR)
    assert (await api.post(f"/v1/alerts/{fired['id']}/acknowledge", {"by": "ann"})).status == 409
    assert (await api.post(f"/v1/alerts/{(await newest(api))['id']}/acknowledge", {"by": "ann"})).status == 200
    assert (await newest(api))["sequence"] == 3


async def test_a_snoozed_rule_is_resolved_but_fires_no_more_until_then(
    clock: Clock, engine: AsyncEngine, api: Api
) -> None:
    alert = await newest(api)
    until = START + 6 * HOUR
    answer = await api.post(f"/v1/alerts/{alert['id']}/snooze", {"until": until.isoformat()})
    assert (answer.status, answer.json) == (200, alert | {"snoozed_until": "2026-03-02T18:00:00Z"})
    assert (await newest(api)) == answer.json

    await recover(api, START + HOUR)
    await breach(api, START + 2 * HOUR)
    for moment in (START + 3 * HOUR, until - timedelta(microseconds=1)):
        assert await clock.sweep(moment) == 0
    assert await told(engine) == [("firing", START), ("resolved", START + HOUR)]
    assert await clock.sweep(until) == 1
    assert await told(engine) == [("firing", START), ("resolved", START + HOUR), ("firing", until)]
    assert (await newest(api))["snoozed_until"] is None


async def test_a_snooze_that_ends_early(clock: Clock, engine: AsyncEngine, api: Api) -> None:
    path = f"/v1/alerts/{(await newest(api))['id']}/snooze"
    await api.post(path, {"until": (START + 6 * HOUR).isoformat()})
    await recover(api, START + HOUR)
    await breach(api, START + 2 * HOUR)
    api.clock.now = START + 3 * HOUR
    assert (await api.delete(path)).status == 204
    assert (await api.delete(path)).status == 404
    assert await clock.sweep(api.clock.now) == 1
    assert await told(engine) == [("firing", START), ("resolved", START + HOUR), ("firing", START + 3 * HOUR)]


async def test_a_snooze_that_another_takes_the_place_of(clock: Clock, engine: AsyncEngine, api: Api) -> None:
    """A snooze may be requested on any alert of the rule, and be shorter than the one before."""
    fired = await newest(api)
    await api.post(f"/v1/alerts/{fired['id']}/snooze", {"until": (START + 6 * HOUR).isoformat()})
    await recover(api, START + HOUR)
    resolved = await newest(api)
    await breach(api, START + 2 * HOUR)
    again = await api.post(f"/v1/alerts/{resolved['id']}/snooze", {"until": (START + 3 * HOUR).isoformat()})
    assert again.json["snoozed_until"] == "2026-03-02T15:00:00Z"
    assert (await api.get(f"/v1/alerts/{fired['id']}")).json["snoozed_until"] is None
    assert (await api.delete(f"/v1/alerts/{fired['id']}/snooze")).status == 404
    assert await clock.sweep(START + 3 * HOUR - timedelta(microseconds=1)) == 0
    assert await clock.sweep(START + 3 * HOUR) == 1
    assert (await told(engine))[-1] == ("firing", START + 3 * HOUR)


async def test_other_accounts_do_not_snooze(clock: Clock, engine: AsyncEngine, api: Api) -> None:
    await api.post(f"/v1/alerts/{(await newest(api))['id']}/snooze", {"until": (START + HOUR).isoformat()})
    await clock.fold({"zeta": [used("zeta", START)]}, START)
    assert len(await told(engine)) == 2


async def test_who_snoozes_acknowledges_what_fires(clock: Clock, api: Api) -> None:
    alert = await newest(api)
    body = {"until": (START + 2 * HOUR).isoformat(), "by": "ann"}
    snoozed = (await api.post(f"/v1/alerts/{alert['id']}/snooze", body)).json
    assert (snoozed["acknowledged_by"], snoozed["acknowledged_at"]) == ("ann", "2026-03-02T12:00:00Z")
    await recover(api, START + HOUR)
    resolved = (await newest(api))["id"]
    assert (await api.post(f"/v1/alerts/{resolved}/snooze", body)).json["acknowledged_by"] is None


async def test_what_can_t_be_used_is_named(clock: Clock, engine: AsyncEngine, api: Api) -> None:
    path = f"/v1/alerts/{(await newest(api))['id']}"
    for action, body, field in (
        ("acknowledge", {}, "by"),
        ("acknowledge", {"by": ""}, "by"),
        ("acknowledge", {"by": "a\nb"}, "by"),
        ("acknowledge", {"by": "a" * 201}, "by"),
        ("acknowledge", {"by": "ann", "note": "x"}, "note"),
        ("snooze", {}, "until"),
        ("snooze", {"until": "tomorrow"}, "until"),
        ("snooze", {"until": "2026-03-02T13:00:00"}, "until"),
        ("snooze", {"until": START.isoformat()}, "until"),
        ("snooze", {"until": (START + timedelta(days=367)).isoformat()}, "until"),
        ("snooze", {"until": (START + HOUR).isoformat(), "by": ""}, "by"),
    ):
        answer = await api.post(f"{path}/{action}", body)
        assert (answer.status, answer.fields) == (422, [field]), body
    before = (await api.get(path)).json
    assert before["acknowledged_at"] is before["snoozed_until"] is None


async def test_alerts_that_nothing_can_be_done_about(clock: Clock, engine: AsyncEngine, api: Api) -> None:
    await clock.publish(by_active_days(19), START)
    await clock.reevaluate(START)
    (digest,) = (await api.get("/v1/alerts?state=digest")).items
    until = {"until": (START + HOUR).isoformat()}
    for alert_id, status in ((digest["id"], 409), ("00000000-0000-0000-0000-000000000000", 404)):
        assert (await api.post(f"/v1/alerts/{alert_id}/acknowledge", {"by": "ann"})).status == status
        assert (await api.post(f"/v1/alerts/{alert_id}/snooze", until)).status == status
        assert (await api.delete(f"/v1/alerts/{alert_id}/snooze")).status == 404
