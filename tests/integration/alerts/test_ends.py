"""Endpoints that got a firing alert get its end, however it ends and whatever their filters say by then."""

import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from scoring.scorecards.override import Override
from scoring.state.calendar import to_micros
from service.evaluation.erase_account import erase
from service.evaluation.evaluate import Inputs, advance_accounts
from service.runtime.settings import Settings
from service.storage.webhooks import endpoints
from tests.support.service import query
from tests.support.sweeping import START, Clock, by_active_days, described, used
from tests.support.webhooks import add_endpoint, local_settings, receiver, until, working

pytestmark = pytest.mark.anyio

LATER = START + timedelta(minutes=5)
AT_RISK: dict[str, Any] = {"direction": "below", "level": 40.0}
FILTERS: dict[str, dict[str, Any]] = {
    "none": {},
    "band": {"bands": ["red"]},
    "segment": {"segments": ["enterprise"]},
    "stage": {"stages": ["onboarding"]},
    "owner": {"owners": ["ann"]},
    "rule": {"rules": ["At risk"]},
    "all": {"bands": ["red"], "segments": ["enterprise"], "stages": ["onboarding"], "owners": ["ann"]},
}


@pytest.fixture
async def clock(engine: AsyncEngine, database_settings: Settings) -> Clock:
    clock = Clock(engine, database_settings)
    await clock.publish(by_active_days(20), START)
    await clock.reevaluate(START)
    return clock


class Episode:
    """An account for which a rule fires, and endpoints that were sent the alert."""

    def __init__(self, clock: Clock, rule: UUID, told: dict[str, UUID]) -> None:
        self.clock = clock
        self.rule = rule
        self.told = told

    async def recover(self) -> None:
        await self.clock.fold({"acme": [used("acme", START - timedelta(days=day)) for day in range(1, 16)]}, LATER)

    async def describe(self, **values: str) -> None:
        await self.clock.fold({"acme": [described("acme", LATER, **values)]}, LATER)

    async def change(self, **changes: Any) -> None:
        await self.clock.change_rule(self.rule, LATER, **changes)
        await self.clock.reevaluate(LATER)

    async def heard(self, state: str) -> set[str]:
        rows = await query(
            self.clock.engine,
            "SELECT endpoint_id FROM deliveries JOIN alerts ON alerts.id = alert_id WHERE alerts.state = :state",
            state=state,
        )
        names = {endpoint: name for name, endpoint in self.told.items()}
        assert len(rows) == len({row.endpoint_id for row in rows})
        return {names[row.endpoint_id] for row in rows if row.endpoint_id in names}


async def begin(clock: Clock, **more: Any) -> Episode:
    rule = await clock.add_rule("At risk", "score", **AT_RISK, **more)
    told = {name: await add_endpoint(clock.engine, f"https://{name}.test/", **each) for name, each in FILTERS.items()}
    told["rule id"] = await add_endpoint(clock.engine, "https://id.test/", rules=[str(rule)])
    told["hubspot"] = await add_endpoint(clock.engine, "https://hubspot.test/", target="hubspot", bands=["red"])
    told["slack"] = await add_endpoint(clock.engine, "https://slack.test/", target="slack", bands=["red"])
    about = described("acme", START, segment="enterprise", stage="onboarding", owner="ann")
    await clock.fold({"acme": [about, used("acme", START)]}, START)
    episode = Episode(clock, rule, told)
    assert await episode.heard("firing") == told.keys()
    return episode


async def recovery(episode: Episode) -> None:
    await episode.recover()


async def move(episode: Episode) -> None:
    await episode.describe(segment="smb", stage="live", owner="bob")
    await episode.recover()


async def move_out_of_the_rule(episode: Episode) -> None:
    await episode.change(document={**AT_RISK, "stages": ["onboarding"]})
    assert await episode.heard("resolved") == set()
    await episode.describe(segment="smb", stage="live", owner="bob")


async def renamed(episode: Episode) -> None:
    await episode.change(name="In danger")
    assert await episode.heard("resolved") == set()
    await episode.recover()


async def override(episode: Episode) -> None:
    by_hand = Override("a call", "Dana", to_micros(LATER), score=90)
    async with episode.clock.engine.begin() as connection:
        policy = await episode.clock.policies.in_force(connection)
        inputs = Inputs({"acme": ()}, overrides={"acme": by_hand})
        await advance_accounts(connection, inputs, policy, LATER, base_url="https://health.test")


async def endpoint_edited(episode: Episode) -> None:
    edited = {"url": "https://new.test/", "bands": ["green"], "segments": ["x"], "stages": ["x"], "owners": ["x"]}
    async with episode.clock.engine.begin() as connection:
        for endpoint in episode.told.values():
            changes = {**edited, "rules": ["x"], "event_types": ["health.threshold.crossed"]}
            assert await endpoints.change(connection, endpoint, changes, LATER)  # type: ignore[arg-type] # a dict
    await episode.recover()


async def erased(episode: Episode) -> None:
    async with episode.clock.engine.begin() as connection:
        assert await erase(connection, "acme", LATER)


ENDINGS: list[Callable[[Episode], Awaitable[None]]] = [
    recovery,
    move,
    move_out_of_the_rule,
    renamed,
    override,
    endpoint_edited,
    erased,
]


@pytest.mark.parametrize("ending", ENDINGS)
async def test_receivers_of_a_firing_alert_are_sent_its_end(
    clock: Clock, ending: Callable[[Episode], Awaitable[None]]
) -> None:
    episode = await begin(clock)
    await ending(episode)
    assert await episode.heard("resolved") == episode.told.keys()
    (end,) = await query(clock.engine, "SELECT rule_id, quiet FROM alerts WHERE state = 'resolved'")
    assert end == (episode.rule, False)


async def test_who_takes_no_ends_gets_none_until_it_does(clock: Clock, engine: AsyncEngine) -> None:
    episode = await begin(clock)
    crossed = {"event_types": ["health.threshold.crossed"], "bands": ["red"]}
    beginnings, edited = [await add_endpoint(engine, f"https://{name}.test/", **crossed) for name in ("a", "b")]
    await clock.fold({"zeta": [used("zeta", START)]}, START)
    async with engine.begin() as connection:
        types = ["health.threshold.crossed", "health.threshold.resolved"]
        await endpoints.change(connection, edited, {"event_types": types}, LATER)
    await clock.fold({"zeta": [used("zeta", START - timedelta(days=day)) for day in range(1, 16)]}, LATER)
    episode.told = {"beginnings": beginnings, "edited": edited}
    assert await episode.heard("resolved") == {"edited"}


async def test_an_end_waits_for_an_endpoint_that_is_disabled_meanwhile(clock: Clock, engine: AsyncEngine) -> None:
    """Ends wait with the alerts that weren't sent: an endpoint that is enabled again mustn't see them fire for ever."""
    episode = await begin(clock)
    async with engine.begin() as connection:
        await endpoints.change(connection, episode.told["band"], {"enabled": False}, LATER)
    await episode.recover()
    assert await episode.heard("resolved") == episode.told.keys()


async def test_an_episode_from_before_the_upgrade_ends_for_receivers_of_its_beginning(
    clock: Clock, engine: AsyncEngine
) -> None:
    episode = await begin(clock)
    await query(engine, "UPDATE alerts SET ends_for = NULL RETURNING 1")
    await move(episode)
    assert await episode.heard("resolved") == episode.told.keys()


async def test_what_begins_later_is_routed_by_filters(clock: Clock, engine: AsyncEngine) -> None:
    await begin(clock)
    await clock.fold({"beta": [described("beta", START, segment="smb"), used("beta", START)]}, LATER)
    told = "SELECT url FROM webhook_endpoints WHERE id IN (SELECT endpoint_id FROM deliveries WHERE alert_id = :id)"
    (alert,) = await query(engine, "SELECT id FROM alerts WHERE account_id = 'beta'")
    urls = {row.url for row in await query(engine, told, id=alert.id)}
    assert urls == {f"https://{name}.test/" for name in ("none", "band", "rule", "id", "hubspot", "slack")}


async def test_a_crm_that_was_sent_an_account_gets_all_its_later_alerts(clock: Clock, engine: AsyncEngine) -> None:
    """The endpoint mirrors a state: an alert that its filters left out would leave the last bad score there."""
    hubspot, slack = [
        await add_endpoint(engine, f"https://{target}.test/", target=target, bands=["red"], rules=["Red"])
        for target in ("hubspot", "slack")
    ]
    await clock.add_rule("Red", "band", to=["red"])
    await clock.add_rule("Green", "band", to=["green"], for_seconds=60)
    await clock.fold({each: [used(each, START)] for each in ("acme",)}, START)
    recovered = {each: [used(each, START - timedelta(days=day)) for day in range(1, 16)] for each in ("acme", "zeta")}
    await clock.fold(recovered, LATER)
    await clock.sweep(LATER + timedelta(minutes=2))
    told = await query(
        engine,
        "SELECT endpoint_id, account_id, rule, alerts.state FROM deliveries JOIN alerts ON alerts.id = alert_id",
    )
    beginning_and_end = {("acme", "Red", "firing"), ("acme", "Red", "resolved")}
    heard = {endpoint: {tuple(row)[1:] for row in told if row.endpoint_id == endpoint} for endpoint in (slack, hubspot)}
    assert heard[slack] == beginning_and_end
    assert heard[hubspot] == beginning_and_end | {("acme", "Green", "firing")}


async def test_the_last_message_about_an_erased_account_goes_out_and_then_nothing_is_left(
    clock: Clock, engine: AsyncEngine
) -> None:
    """Alerts sent only in a digest end too; those that are over already, or that nobody got, don't end again."""
    await clock.add_rule("Low", "score", direction="below", level=50.0)
    at_risk = await clock.add_rule("At risk", "score", **AT_RISK)
    await clock.fold({"acme": [used("acme", START)]}, START, backfill={"acme"})
    async with receiver() as crm, receiver() as chat:
        await add_endpoint(engine, crm.url, rules=["At risk"])
        await add_endpoint(engine, chat.url, target="alertmanager", bands=["red"])
        await clock.fold({"acme": [used("acme", START - timedelta(days=day)) for day in range(1, 9)]}, LATER)
        await clock.fold({"zeta": [used("zeta", START)]}, LATER)
        async with engine.begin() as connection:
            for each in ("acme", "zeta"):
                assert await erase(connection, each, LATER)
            assert not await erase(connection, "acme", LATER)
        assert await query(engine, "SELECT 1 FROM alerts WHERE account_id IS NOT NULL") == []
        await clock.tell(LATER)
        async with working(engine, local_settings()):
            await until(lambda: crm.bodies and len(chat.bodies) >= 2)
        (message,) = crm.messages()
        closed = [json.loads(body) for body in chat.bodies]
    assert message["type"] == "health.threshold.resolved"
    data = message["data"]
    assert (data["account_id"], data["account_name"], data["rule_id"]) == ("zeta", None, str(at_risk))
    assert (data["state"], data["score"], data["band"], data["sequence"]) == ("resolved", None, "unknown", 3)
    assert {(each["status"], each["groupLabels"]["account_id"]) for each in closed} == {("resolved", "zeta")}
    assert {each["groupLabels"]["alertname"] for each in closed} == {"Low", "At risk"}
    await clock.tell(LATER + timedelta(seconds=5))
    assert await query(engine, "SELECT 1 FROM alerts WHERE data::text LIKE '%zeta%'") == []


async def test_what_cannot_arrive_about_an_erased_account_is_forgotten_within_a_week(
    clock: Clock, engine: AsyncEngine
) -> None:
    await begin(clock)
    async with engine.begin() as connection:
        await erase(connection, "acme", LATER)
    kept = "SELECT 1 FROM deliveries"
    await clock.tell(LATER + timedelta(days=6))
    assert await query(engine, kept)
    await clock.tell(LATER + timedelta(days=8))
    assert await query(engine, kept) == []
