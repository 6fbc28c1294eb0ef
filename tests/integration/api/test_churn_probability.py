"""The probability of churn beside the score: from the calibration of the scorecard version that gave the score."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from service.runtime.settings import Settings
from tests.support.api import Api
from tests.support.service import query
from tests.support.sweeping import Clock, by_active_days, described, used
from tests.unit.scoring.test_scorecard_documents import CALIBRATION

pytestmark = pytest.mark.anyio

START = datetime(2030, 1, 29, 9, tzinfo=UTC)
TODAY = START + timedelta(days=2)
PLAIN = msgspec.to_builtins(by_active_days(10))
FIRST = {**CALIBRATION, "probabilities": [[0, 0.4], [20, 0.2], [100, 0]]}
SECOND = {**CALIBRATION, "calibrated_on": "2026-12-31", "probabilities": [[0, 0.5], [100, 0.5]]}
BELOW = {"name": "low", "kind": "score", "direction": "below", "level": 50}


@pytest.fixture
async def clock(api: Api, engine: AsyncEngine, database_settings: Settings) -> Clock:
    """Three days of two accounts, by a scorecard without a calibration: acme scores 10, 20 and 30; globex has none."""
    clock = Clock(engine, database_settings)
    api.clock.now = START
    assert (await publish(api, None)).status == 201
    await clock.reevaluate(START)
    for day in range(3):
        now = START + timedelta(days=day)
        await clock.fold({"acme": [used("acme", now)], "globex": [described("globex", now, name="Globex")]}, now)
    api.clock.now = TODAY
    return clock


async def publish(api: Api, calibration: dict[str, Any] | None) -> Any:
    document = PLAIN if calibration is None else {**PLAIN, "calibration": calibration}
    return await api.post("/v1/scorecards", document)


async def health(api: Api, path: str = "acme/health") -> tuple[Any, ...]:
    """The score, the version that gave it, and the probability."""
    answer = (await api.get(f"/v1/accounts/{path}")).json
    return answer["score"], answer["scorecard"]["version"], answer["churn_probability"]


async def listed(api: Api) -> dict[str, Any]:
    return {each["account_id"]: each["churn_probability"] for each in (await api.get("/v1/accounts")).items}


async def in_history(api: Api) -> list[tuple[Any, ...]]:
    items = (await api.get("/v1/accounts/acme/health/history")).items
    return [(each["score"], each["scorecard"]["version"], each["churn_probability"]) for each in items]


async def test_without_a_calibration_there_is_none(clock: Clock, api: Api) -> None:
    assert await health(api) == (30, 2, None)
    assert await listed(api) == {"acme": None, "globex": None}
    assert (await api.get("/v1/accounts/acme")).json["churn_probability"] is None


async def test_readers_see_it_before_and_after_the_accounts_are_evaluated_again(clock: Clock, api: Api) -> None:
    path = "/v1/accounts/acme/health"
    api.clock.now = TODAY + timedelta(hours=1)
    tags = [(await api.get(path)).headers["ETag"], (await api.get("/v1/accounts")).headers["ETag"]]
    assert (await publish(api, FIRST)).json["version"] == 3
    for _ in range(2):
        assert await health(api) == (30, 3, pytest.approx(0.175))
        assert await listed(api) == {"acme": pytest.approx(0.175), "globex": None}
        assert (await api.get("/v1/accounts/acme")).json["churn_probability"] == pytest.approx(0.175)
        assert await health(api, "globex/health") == (None, 3, None)
        changed = await api.get(path, headers={"If-None-Match": tags[0]})
        assert (changed.status, changed.headers["ETag"] != tags[0]) == (200, True)
        assert changed.json["evaluated_at"] == "2030-01-31T09:00:00Z"  # the stored score holds: nothing is computed
        assert (await api.get("/v1/accounts", headers={"If-None-Match": tags[1]})).status == 200
        assert (await api.get(path, headers={"If-None-Match": changed.headers["ETag"]})).status == 304
        await clock.reevaluate(TODAY)


async def test_the_stored_rows_get_the_new_version_in_a_walk_over_all_accounts(
    clock: Clock, api: Api, engine: AsyncEngine
) -> None:
    await publish(api, FIRST)
    assert await clock.reevaluate(TODAY) == 2
    versions = await query(engine, "SELECT scorecard_version, count(*) FROM scores GROUP BY 1")
    assert [tuple(row) for row in versions] == [(3, 2)]


async def test_a_past_day_keeps_what_its_version_gave(clock: Clock, api: Api) -> None:
    await publish(api, FIRST)
    await clock.reevaluate(TODAY)
    tomorrow = TODAY + timedelta(days=1)
    api.clock.now = tomorrow
    await clock.fold({"acme": [used("acme", tomorrow)]}, tomorrow)
    await publish(api, SECOND)
    await clock.reevaluate(tomorrow)
    assert await in_history(api) == [(10, 2, None), (20, 2, None), (30, 3, pytest.approx(0.175)), (40, 4, 0.5)]
    for day, wanted in ((START, (10, 2, None)), (TODAY, (30, 3, pytest.approx(0.175))), (tomorrow, (40, 4, 0.5))):
        assert await health(api, f"acme/health?day={day.date()}") == wanted
    why = (await api.get(f"/v1/accounts/acme/health/explain?from={TODAY.date()}&to={tomorrow.date()}")).json
    assert [why[end]["churn_probability"] for end in ("from", "to")] == [pytest.approx(0.175), 0.5]


async def test_a_calibration_alone_raises_no_alert_and_explains_nothing(
    clock: Clock, api: Api, engine: AsyncEngine
) -> None:
    assert (await api.post("/v1/alert-rules", BELOW)).status == 201
    await clock.reevaluate(TODAY)
    before = {name: await query(engine, f"SELECT id FROM {name}") for name in ("alerts", "digests")}
    await publish(api, FIRST)
    path = f"/v1/accounts/acme/health/explain?from={START.date()}"
    for _ in range(2):
        why = (await api.get(path)).json
        assert {each["cause"] for each in why["causes"]} == {"events"}
        assert why["change"] == 20
        today = (await api.get("/v1/accounts/acme/health/history")).items[-1]
        assert {each["cause"] for each in today["changes"]} == {"events"}
        await clock.reevaluate(TODAY)
        await clock.tell(TODAY + timedelta(hours=1))
    assert before == {name: await query(engine, f"SELECT id FROM {name}") for name in before}
    assert (await query(engine, "SELECT count(*) FROM digest_moves"))[0][0] == 0


async def test_alerts_of_a_scorecard_are_still_summed_up_if_a_calibration_comes_between(
    clock: Clock, api: Api, engine: AsyncEngine
) -> None:
    assert (await api.post("/v1/alert-rules", {**BELOW, "level": 25})).status == 201
    await clock.reevaluate(TODAY)
    harder = msgspec.to_builtins(by_active_days(30))
    assert (await api.post("/v1/scorecards", harder)).status == 201
    assert (await api.post("/v1/scorecards", {**harder, "calibration": FIRST})).status == 201
    await clock.reevaluate(TODAY)
    rows = await query(engine, "SELECT state, quiet FROM alerts ORDER BY id")
    assert [tuple(row) for row in rows] == [("firing", True), ("digest", False)]


async def test_with_an_override_it_belongs_to_the_computed_score(clock: Clock, api: Api) -> None:
    await publish(api, FIRST)
    override = {"score": 90, "reason": "Their champion is back", "author": "Dana"}
    assert (await api.put("/v1/accounts/acme/health/override", override)).status == 200
    assert await health(api) == (30, 3, pytest.approx(0.175))
    assert (await listed(api))["acme"] == pytest.approx(0.175)


async def test_the_same_document_keeps_its_version_and_another_calibration_is_a_new_one(clock: Clock, api: Api) -> None:
    assert (await publish(api, FIRST)).status == 201
    again = await publish(api, FIRST)
    assert (again.status, again.json["version"]) == (200, 3)
    assert (await publish(api, SECOND)).json["version"] == 4
    shown = {each["name"]: each for each in (await api.get("/v1/scorecards")).items}["default"]
    assert (shown["version"], shown["document"]["calibration"]) == (4, SECOND)
    assert (await api.get("/v1/scorecards/default/versions/3")).json["document"]["calibration"] == FIRST
    without = await publish(api, None)
    assert (without.status, without.json["version"]) == (201, 5)
    assert await health(api) == (30, 5, None)


async def test_the_version_before_can_read_every_document(clock: Clock, api: Api, engine: AsyncEngine) -> None:
    """It refuses fields that it doesn't know: the calibration isn't stored in the document, and scores are the same."""
    await publish(api, FIRST)
    stored = [row.document for row in await query(engine, "SELECT document FROM scorecards ORDER BY version")]
    assert len(stored) == 3
    known = {"name", "measures", "bands", "min_coverage", "applies_to"}
    assert all(document.keys() <= known for document in stored)
    assert stored[2] == stored[1]


async def test_a_bad_calibration_is_refused_by_its_field(clock: Clock, api: Api) -> None:
    refused = await publish(api, {**FIRST, "probabilities": [[0, 0.1], [50, 0.2]]})
    assert (refused.status, refused.fields) == (422, ["calibration.probabilities"])
    assert "must not" in refused.json["errors"][0]["message"]


async def test_a_draft_says_that_its_calibration_is_another(clock: Clock, api: Api) -> None:
    await publish(api, FIRST)
    await clock.reevaluate(TODAY)
    draft = {**PLAIN, "calibration": {**FIRST, "churned": 75}}
    (difference,) = (await api.post("/v1/scorecards/diff", draft)).json["differences"]
    assert difference == {"field": "calibration.churned", "before": 74, "after": 75}
    preview = (await api.post("/v1/scorecards/preview", draft)).json
    assert (preview["recalibrates"], preview["score"]["mean"], preview["scorecards"]) == (True, 0, [])
    same = (await api.post("/v1/scorecards/preview", {**PLAIN, "calibration": FIRST})).json
    assert same["recalibrates"] is False
