"""An endpoint with filters hears the part of a digest that is its own."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from service.runtime.settings import Settings
from tests.support.api import Api
from tests.support.service import query
from tests.support.sweeping import START, Clock, by_active_days, described, used
from tests.support.webhooks import add_endpoint, local_settings, receiver, until, working

pytestmark = pytest.mark.anyio

LATER = START + timedelta(minutes=1)
ABOUT = [
    {"segment": segment, "stage": stage, "owner": owner}
    for segment in ("enterprise", "smb")
    for stage in ("onboarding", "live")
    for owner in ("ann", "bob", "cleo")
]
"""The attributes of twelve accounts with five days of use; the thirteenth has ten days, and no attributes."""


@pytest.fixture
async def clock(engine: AsyncEngine, database_settings: Settings) -> Clock:
    clock = Clock(engine, database_settings)
    await clock.publish(by_active_days(20), START)
    await clock.reevaluate(START)
    for number, about in enumerate(ABOUT):
        account_id = f"account-{number:02}"
        use = [used(account_id, START - timedelta(days=day)) for day in range(5)]
        await clock.fold({account_id: [described(account_id, START, **about), *use]}, START)
    await clock.fold({"plain": [used("plain", START - timedelta(days=day)) for day in range(10)]}, START)
    return clock


FILTERS: dict[str, dict[str, Any]] = {
    "none": {},
    "red": {"bands": ["red"]},
    "yellow": {"bands": ["yellow"]},
    "green": {"bands": ["green"]},
    "enterprise": {"segments": ["enterprise"]},
    "ann": {"owners": ["ann", "cleo"], "stages": ["live"]},
    "nobody": {"owners": ["dora"]},
    "rule": {"rules": ["Slipping"]},
    "another rule": {"rules": ["Another"]},
    "no digests": {"event_types": ["health.threshold.crossed"]},
    "hubspot": {"target": "hubspot", "segments": ["smb"]},
    "disabled": {"enabled": False},
}


async def parts(engine: AsyncEngine, endpoints: dict[str, UUID], state: str = "digest") -> dict[str, list[Any]]:
    rows = await query(
        engine,
        "SELECT endpoint_id, coalesce(deliveries.data, alerts.data) -> 'digest' AS digest, alerts.account_id"
        " FROM deliveries JOIN alerts ON alerts.id = alert_id WHERE alerts.state = :state",
        state=state,
    )
    return {
        name: found
        for name, endpoint in endpoints.items()
        if (found := [row.digest or row.account_id for row in rows if row.endpoint_id == endpoint])
    }


def sums(digests: dict[str, list[Any]]) -> dict[str, dict[str, int]]:
    assert all(len(found) == 1 for found in digests.values())
    return {name: {each["rule"]: each["firing"] for each in found[0]["rules"]} for name, found in digests.items()}


async def test_of_a_rule(clock: Clock, engine: AsyncEngine, api: Api) -> None:
    endpoints = {
        name: await add_endpoint(engine, f"https://{name.replace(' ', '-')}.test/", **more)
        for name, more in FILTERS.items()
    }
    for name, level in (("At risk", 30), ("Slipping", 60)):
        rule = {"name": name, "kind": "score", "direction": "below", "level": level}
        await api.post("/v1/alert-rules", rule)
    await clock.reevaluate(LATER)
    assert sums(await parts(engine, endpoints)) == {
        "none": {"At risk": 12, "Slipping": 13},
        "red": {"At risk": 12, "Slipping": 12},
        "yellow": {"Slipping": 1},
        "enterprise": {"At risk": 6, "Slipping": 6},
        "ann": {"At risk": 4, "Slipping": 4},
        "rule": {"Slipping": 13},
    }
    by_account = await parts(engine, endpoints, "firing")
    assert by_account.keys() == {"hubspot"}
    assert sorted(by_account["hubspot"]) == sorted([f"account-{number:02}" for number in range(6, 12)] * 2)


async def test_of_a_scorecard(clock: Clock, engine: AsyncEngine) -> None:
    endpoints = {
        name: await add_endpoint(engine, f"https://{name.replace(' ', '-')}.test/", **more)
        for name, more in FILTERS.items()
    }
    await clock.publish(by_active_days(10), LATER)
    await clock.reevaluate(LATER)
    moves = {
        name: [(each["band_before"], each["band_after"], each["accounts"]) for each in digest["bands"]]
        for name, (digest,) in (await parts(engine, endpoints)).items()
    }
    assert moves == {
        "none": [("red", "yellow", 12), ("yellow", "green", 1)],
        "yellow": [("red", "yellow", 12)],
        "green": [("yellow", "green", 1)],
        "enterprise": [("red", "yellow", 6)],
        "ann": [("red", "yellow", 4)],
    }


async def test_a_scorecard_that_moves_no_account_sends_nothing_to_endpoints_with_filters(
    clock: Clock, engine: AsyncEngine
) -> None:
    endpoints = {name: await add_endpoint(engine, f"https://{name}.test/", **FILTERS[name]) for name in ("none", "red")}
    await clock.publish(by_active_days(21), LATER)
    await clock.reevaluate(LATER)
    assert (await parts(engine, endpoints)).keys() == {"none"}


async def test_of_a_backfill_and_of_what_recovers_one_by_one(clock: Clock, engine: AsyncEngine) -> None:
    """An endpoint that got a beginning in a digest gets its end, whatever its filters say by then."""
    endpoints = {name: await add_endpoint(engine, f"https://{name}.test/", **FILTERS[name]) for name in ("red", "ann")}
    await clock.add_rule("At risk", "score", direction="below", level=30.0)
    loaded = ["account-03", "account-04"]
    await clock.fold({each: [used(each, START)] for each in loaded}, LATER, backfill=set(loaded))
    await clock.tell(LATER + timedelta(minutes=1))
    assert sums(await parts(engine, endpoints)) == {"red": {"At risk": 2}, "ann": {"At risk": 1}}

    about = described("account-03", LATER, stage="onboarding", owner="bob")
    use = [used("account-03", START - timedelta(days=day)) for day in range(5, 15)]
    await clock.fold({"account-03": [about, *use]}, LATER)
    assert await parts(engine, endpoints, "resolved") == {"red": ["account-03"], "ann": ["account-03"]}


async def test_the_part_is_what_goes_out(clock: Clock, engine: AsyncEngine, api: Api) -> None:
    async with receiver() as all_, receiver() as enterprise:
        await add_endpoint(engine, all_.url)
        await add_endpoint(engine, enterprise.url, segments=["enterprise"])
        await api.post("/v1/alert-rules", {"name": "At risk", "kind": "score", "direction": "below", "level": 30})
        await clock.reevaluate(LATER)
        async with working(engine, local_settings()):
            await until(lambda: all_.bodies and enterprise.bodies)
    (whole,), (part,) = all_.messages(), enterprise.messages()
    assert whole["data"]["digest"].pop("rules") == [{"rule": "At risk", "firing": 12, "resolved": 0}]
    assert part["data"]["digest"].pop("rules") == [{"rule": "At risk", "firing": 6, "resolved": 0}]
    assert whole == part
    (listed,) = (await api.get("/v1/alerts?state=digest")).items
    assert listed["data"]["digest"]["rules"] == [{"rule": "At risk", "firing": 12, "resolved": 0}]
