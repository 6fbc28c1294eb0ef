"""A rule that is created, enabled, loosened, disabled or deleted for many accounts gives one digest per step."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from service.runtime.settings import Settings
from tests.support.api import Api
from tests.support.service import query
from tests.support.sweeping import START, Clock, by_active_days, described, used
from tests.support.webhooks import add_endpoint

pytestmark = pytest.mark.anyio

MINUTE = timedelta(minutes=1)
LOW = [f"account-{number:02}" for number in range(48)]
MIDDLE = [f"middle-{number}" for number in range(5)]
AT_RISK = {"name": "At risk", "kind": "score", "direction": "below", "level": 40}


@pytest.fixture
async def clock(engine: AsyncEngine, database_settings: Settings) -> Clock:
    """48 accounts that score 5, five that score 50, one that scores 100."""
    clock = Clock(engine, database_settings)
    await clock.publish(by_active_days(20), START)
    await clock.reevaluate(START)
    days = {**dict.fromkeys(LOW, 1), **dict.fromkeys(MIDDLE, 10), "well": 20}
    use = {each: [used(each, START - timedelta(days=day)) for day in range(most)] for each, most in days.items()}
    await clock.fold(use, START)
    return clock


class Told:
    """The messages an endpoint got; reading takes the new ones."""

    def __init__(self, engine: AsyncEngine, endpoint: UUID) -> None:
        self.engine = engine
        self.endpoint = endpoint
        self.seen = 0

    async def read(self) -> list[Any]:
        rows = await query(
            self.engine,
            "SELECT type, account_id, alerts.state, coalesce(deliveries.data, alerts.data) AS data"
            " FROM deliveries JOIN alerts ON alerts.id = alert_id WHERE endpoint_id = :id"
            " ORDER BY alerts.created_at, alerts.id",
            id=self.endpoint,
        )
        new = list(rows[self.seen :])
        self.seen = len(rows)
        return new

    async def sums(self) -> list[Any]:
        """The messages since: of digests cause, subject and rules."""
        return [
            (digest["cause"], digest["subject"], digest["rules"])
            if (digest := row.data.get("digest"))
            else (row.account_id, row.data["rule"], row.state)
            for row in await self.read()
        ]


def summed_up(firing: int, resolved: int, rule: str = "At risk") -> Any:
    return ("rule", rule, [{"rule": rule, "firing": firing, "resolved": resolved}])


async def test_each_step_of_a_rules_life_is_one_digest(clock: Clock, engine: AsyncEngine, api: Api) -> None:
    told = [
        Told(engine, await add_endpoint(engine, "https://crm.test/", **more))
        for more in ({}, {"target": "slack"}, {"target": "alertmanager"})
    ]
    at = START
    rule = (await api.post("/v1/alert-rules", AT_RISK)).json["id"]
    path = f"/v1/alert-rules/{rule}"
    steps: list[tuple[dict[str, Any] | None, Any]] = [
        ({}, summed_up(48, 0)),
        ({"enabled": False}, summed_up(0, 48)),
        ({"enabled": True}, summed_up(48, 0)),
        ({"level": 60}, summed_up(5, 0)),
        ({"level": 40}, summed_up(0, 5)),
        ({"name": "In danger"}, None),
        ({"segments": ["enterprise"]}, summed_up(0, 48, "In danger")),
        ({"segments": None}, summed_up(48, 0, "In danger")),
        (None, summed_up(0, 48, "In danger")),
    ]
    for change, expected in steps:
        at += MINUTE
        if change is None:
            assert (await api.delete(path)).status == 204
        elif change:
            assert (await api.patch(path, change)).status == 200
        await clock.reevaluate(at)
        for each in told:
            assert await each.sums() == ([expected] if expected else []), change


async def test_a_digest_says_what_happened_to_the_rule(clock: Clock, engine: AsyncEngine, api: Api) -> None:
    told = Told(engine, await add_endpoint(engine, "https://crm.test/"))
    path = f"/v1/alert-rules/{(await api.post('/v1/alert-rules', AT_RISK)).json['id']}"
    steps: list[tuple[str, dict[str, Any] | None]] = [
        ("created", {}),
        ("changed", {"level": 60}),
        ("disabled", {"enabled": False}),
        ("enabled", {"enabled": True}),
        ("disabled", {"enabled": False, "level": 40}),
        ("enabled", {"enabled": True}),
        ("deleted", None),
    ]
    for number, (change, body) in enumerate(steps):
        if body is None:
            assert (await api.delete(path)).status == 204
        elif body:
            assert (await api.patch(path, body)).status == 200
        await clock.reevaluate(START + number * MINUTE)
        (message,) = await told.read()
        assert message.data["digest"]["change"] == change


async def change_of(engine: AsyncEngine) -> tuple[str, str | None]:
    (row,) = await query(engine, "SELECT subject, change FROM digests WHERE closed_at IS NULL")
    return row.subject, row.change


async def test_several_changes_during_a_re_evaluation_are_summed_up_in_one_word(
    clock: Clock, engine: AsyncEngine, api: Api
) -> None:
    path = f"/v1/alert-rules/{(await api.post('/v1/alert-rules', AT_RISK)).json['id']}"
    await api.patch(path, {"level": 50})
    assert await change_of(engine) == ("At risk", "created"), "it is still new"
    await api.patch(path, {"enabled": False})
    assert await change_of(engine) == ("At risk", "changed")
    await api.delete(path)
    assert await change_of(engine) == ("At risk", "deleted")
    await api.post("/v1/alert-rules", {**AT_RISK, "name": "Slipping"})
    assert await change_of(engine) == ("At risk, Slipping", "changed")
    await clock.publish(by_active_days(21), START)
    assert await change_of(engine) == ("default version 3, rule At risk, Slipping", None)


async def test_a_dwell_that_ends_for_all_at_once_is_one_digest(clock: Clock, engine: AsyncEngine, api: Api) -> None:
    told = Told(engine, await add_endpoint(engine, "https://crm.test/"))
    await api.post("/v1/alert-rules", {**AT_RISK, "for_seconds": 600})
    await clock.reevaluate(START)
    assert await told.sums() == []
    assert await clock.sweep(START + MINUTE * 10) == 48
    await clock.tell(START + MINUTE * 11)
    assert await told.sums() == [("dwell", "", [{"rule": "At risk", "firing": 48, "resolved": 0}])]


async def test_an_account_that_crosses_by_its_own_events_meanwhile_gets_its_own_alert(
    clock: Clock, engine: AsyncEngine, api: Api
) -> None:
    """Also for the account that a batch evaluates by the rule before the re-evaluation reaches it."""
    told = Told(engine, await add_endpoint(engine, "https://crm.test/"))
    await api.post("/v1/alert-rules", AT_RISK)
    await clock.fold({"newcomer": [used("newcomer", START)], LOW[0]: [used(LOW[0], START)]}, START)
    assert await told.sums() == [("newcomer", "At risk", "firing")]
    recovered = [used(LOW[1], START - timedelta(days=day)) for day in range(1, 16)]
    await clock.fold({LOW[1]: recovered}, START)
    assert await told.sums() == []
    await clock.reevaluate(START)
    assert await told.sums() == [summed_up(47, 0)]


async def test_what_began_for_itself_ends_for_itself_but_for_people(
    clock: Clock, engine: AsyncEngine, api: Api
) -> None:
    """A program has opened something that it can't close by a sum; people needn't read as many messages."""
    standard, alertmanager, slack, late = [
        Told(engine, await add_endpoint(engine, f"https://{target}.test/", target=target, bands=["red"]))
        for target in ("standard", "alertmanager", "slack", "standard")
    ]
    rule = (await api.post("/v1/alert-rules", AT_RISK)).json["id"]
    await clock.reevaluate(START)
    for each in (standard, alertmanager, slack, late):
        assert await each.sums() == [summed_up(48, 0)]
    single = [f"single-{number}" for number in range(3)]
    await clock.fold({each: [used(each, START)] for each in single}, START)
    for each in (standard, alertmanager, slack):
        assert sorted(await each.sums()) == [(name, "At risk", "firing") for name in single]
    await api.patch(f"/v1/alert-rules/{rule}", {"enabled": False})
    await clock.reevaluate(START + MINUTE)
    for each in (standard, alertmanager):
        *ends, digest = sorted(await each.sums(), key=lambda one: one[0] == "rule")
        assert sorted(ends) == [(name, "At risk", "resolved") for name in single]
        assert digest == summed_up(0, 48)
    assert await slack.sums() == [summed_up(0, 51)]


async def test_an_endpoint_without_digests_is_sent_the_ends_of_its_alerts(
    clock: Clock, engine: AsyncEngine, api: Api
) -> None:
    types = ["health.threshold.crossed", "health.threshold.resolved"]
    told = Told(engine, await add_endpoint(engine, "https://slack.test/", target="slack", event_types=types))
    rule = (await api.post("/v1/alert-rules", AT_RISK)).json["id"]
    await clock.fold({"newcomer": [used("newcomer", START)]}, START)
    await clock.reevaluate(START)
    await api.delete(f"/v1/alert-rules/{rule}")
    await clock.reevaluate(START + MINUTE)
    assert await told.sums() == [("newcomer", "At risk", "firing"), ("newcomer", "At risk", "resolved")]


async def test_changes_of_two_rules_and_a_scorecard_during_a_re_evaluation_are_one_digest(
    clock: Clock, engine: AsyncEngine, api: Api
) -> None:
    told = Told(engine, await add_endpoint(engine, "https://crm.test/"))
    await api.post("/v1/alert-rules", AT_RISK)
    await api.post("/v1/alert-rules", {**AT_RISK, "name": "Slipping", "level": 60})
    await clock.publish(by_active_days(21), START)
    await clock.reevaluate(START)
    (message,) = await told.read()
    digest = message.data["digest"]
    assert (digest["cause"], digest["subject"]) == ("scorecard", "default version 3, rule At risk, Slipping")
    firing = [("At risk", 48), ("Slipping", 53)]
    assert [(each["rule"], each["firing"]) for each in digest["rules"]] == firing


async def test_an_account_that_moves_to_another_scorecard_meanwhile_gets_its_own_alert(
    clock: Clock, engine: AsyncEngine, api: Api
) -> None:
    """A digest of a rule sums up what the rule sets off, and nothing else."""
    await clock.publish(by_active_days(40, "big", applies_to={"segments": ["enterprise"], "rank": 1}), START)
    await clock.reevaluate(START)
    await clock.add_rule("Slipping", "score", direction="below", level=30.0)
    told = Told(engine, await add_endpoint(engine, "https://crm.test/"))
    await api.post("/v1/alert-rules", AT_RISK)
    await clock.fold({MIDDLE[0]: [described(MIDDLE[0], START, segment="enterprise")]}, START)
    assert sorted(await told.sums()) == [(MIDDLE[0], "At risk", "firing"), (MIDDLE[0], "Slipping", "firing")]
