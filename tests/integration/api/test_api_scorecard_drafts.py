"""Drafts over HTTP: checked, compared and previewed, and nothing is written."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from scoring.state.calendar import day_of, to_micros
from scoring.state.events import Event, UsageEvent
from service.evaluation.evaluate import Inputs, advance_accounts
from service.evaluation.policy import load_policy
from tests.integration.api.test_api_scorecards import MEASURE, document
from tests.support.api import Api, make_key

pytestmark = pytest.mark.anyio

ROUTES = ("validate", "diff", "preview")
BAD: list[tuple[str, str, dict[str, Any]]] = [
    ("measures[0].curve", "values must rise", document(measures=[{**MEASURE, "curve": [[0, 0], [20, 50], [10, 100]]}])),
    ("measures", "above 0", document(measures=[{**MEASURE, "weight": 0}])),
    ("measures[0].measure", "active_days", document(measures=[{**MEASURE, "measure": "active_dayz"}])),
    ("measures[0].window", "1 to 92 days", document(measures=[{**MEASURE, "window": 400}])),
    ("applies_to", "overlapping defaults", document(applies_to={})),
    ("applies_to", "overlapping defaults", document(applies_to={"rank": 3})),
    ("applies_to", "leave it out", document(name="default")),
    ("bands", "must rise", document(bands={"yellow": 80})),
]


def at_once(**changes: Any) -> dict[str, Any]:
    """A default scorecard of one measure: 100 for 20 active days."""
    return {"name": "default", "measures": [{**MEASURE, **changes}]}


async def fold(engine: AsyncEngine, api: Api, days: dict[str, int]) -> None:
    """Accounts that were active on a number of days up to today."""
    events: dict[str, list[Event]] = {}
    for account_id, active in days.items():
        moments = [to_micros(api.clock.now - timedelta(days=ago)) for ago in range(active)]
        events[account_id] = [UsageEvent(account_id, at, day_of(at), day_of(at), "login", 1, 1) for at in moments]
    async with engine.begin() as connection:
        policy = await load_policy(connection, 92)
        await advance_accounts(connection, Inputs(events), policy, api.clock.now, base_url="http://test")


async def everything(engine: AsyncEngine) -> list[Any]:
    """The rows of all tables that a preview could have changed."""
    tables = ("scorecards", "scores", "history", "alerts", "reevaluations", "digests", "accounts")
    async with engine.connect() as connection:
        return [
            sorted(map(str, await connection.execute(text(f"SELECT CAST({table} AS text) FROM {table}"))))
            for table in tables
        ]


@pytest.mark.parametrize(("field", "said", "bad"), BAD)
async def test_what_can_t_be_published_is_named_with_what_is_allowed(
    api: Api, field: str, said: str, bad: dict[str, Any]
) -> None:
    for route in ROUTES:
        answer = await api.post(f"/v1/scorecards/{route}", bad)
        assert (answer.status, answer.fields) == (422, [field]), route
        assert said in answer.json["errors"][0]["message"]


async def test_what_is_no_document_at_all(api: Api) -> None:
    for route in ROUTES:
        for raw in (b"", b"[]", b"null", b"{", b'{"name": NaN}'):
            headers = {"Content-Type": "application/json"}
            assert (await api.post(f"/v1/scorecards/{route}", raw=raw, headers=headers)).status == 422, (route, raw)
        assert (await api.post(f"/v1/scorecards/{route}", raw=b"name: x", headers={})).status == 415, route


async def test_a_good_document_has_no_problems_and_what_is_odd_is_warned_of(api: Api) -> None:
    good = await api.post("/v1/scorecards/validate", document())
    assert (good.status, good.json) == (200, {"problems": [], "warnings": []})
    odd = document(measures=[MEASURE, {**MEASURE, "name": "flat", "curve": [[0, 50]]}])
    answer = (await api.post("/v1/scorecards/validate", odd)).json
    assert [each["field"] for each in answer["warnings"]] == ["measures[1].curve"]
    assert answer["problems"] == []


async def test_an_overlap_with_what_is_in_force_is_warned_of_until_the_ranks_differ(api: Api) -> None:
    await api.post("/v1/scorecards", document())
    rival = document(name="new", applies_to={"tenure_days": [0, 90]})
    (warning,) = (await api.post("/v1/scorecards/validate", rival)).json["warnings"]
    assert warning["field"] == "applies_to.rank"
    assert "smb" in warning["message"]
    assert "new wins" in warning["message"]
    rival["applies_to"]["rank"] = 1
    assert (await api.post("/v1/scorecards/validate", rival)).json["warnings"] == []
    assert (await api.post("/v1/scorecards/validate", document())).json["warnings"] == []


async def test_a_draft_differs_from_the_newest_of_its_name(api: Api) -> None:
    new = (await api.post("/v1/scorecards/diff", document())).json
    assert (new["name"], new["from_version"]) == ("smb", None)
    assert {"field": "applies_to.segments", "before": None, "after": ["smb"]} in new["differences"]
    await api.post("/v1/scorecards", document(min_coverage=0.1))
    await api.post("/v1/scorecards", document())
    same = (await api.post("/v1/scorecards/diff", document())).json
    assert same == {"name": "smb", "from_version": 2, "differences": []}
    heavier = document(measures=[{**MEASURE, "weight": 15}])
    assert (await api.post("/v1/scorecards/diff", heavier)).json["differences"] == [
        {"field": "measures.active_days.weight", "before": 1, "after": 15}
    ]


async def test_a_preview_predicts_the_effect_of_publishing(engine: AsyncEngine, api: Api) -> None:
    await api.post("/v1/scorecards", at_once())
    await api.put("/v1/accounts/eight", {"name": "Eight [days]"})
    await fold(engine, api, {"eight": 8, "twelve": 12, "eighteen": 18})
    await api.post("/v1/alert-rules", {"name": "At risk", "kind": "score", "direction": "below", "level": 40})
    await fold(engine, api, dict.fromkeys(("eight", "twelve", "eighteen"), 0))
    before = await everything(engine)
    stricter = at_once(curve=[[0, 0], [30, 100]])
    answer = await api.post("/v1/scorecards/preview", stricter)
    assert await everything(engine) == before
    assert answer.status == 200
    told = answer.json
    assert [told[name] for name in ("name", "from_version", "accounts", "judged", "covered")] == ["default", 2, 3, 3, 3]
    assert told["bands"] == [
        {"before": "green", "after": "yellow", "accounts": 1},
        {"before": "yellow", "after": "red", "accounts": 1},
        {"before": "yellow", "after": "yellow", "accounts": 1},
    ]
    assert told["score"]["mean"] == pytest.approx(-(40 + 60 + 90) / 9)
    assert told["score"]["up"] == []
    last = told["score"]["down"][-1]
    assert (last["account_id"], last["name"], last["before"]) == ("eight", "Eight [days]", 40)
    assert last["drivers"] == [{"measure": "active_days", "delta": pytest.approx(-40 / 3)}]
    assert [(rule["name"], rule["firing"], rule["resolved"]) for rule in told["rules"]] == [("At risk", 1, 0)]
    assert told["warnings"] == []

    await api.post("/v1/scorecards", stricter)
    bands = [(await api.get(f"/v1/accounts/{name}/health")).json["band"] for name in ("eight", "twelve", "eighteen")]
    assert bands == ["red", "yellow", "yellow"]
    await fold(engine, api, dict.fromkeys(("eight", "twelve", "eighteen"), 0))
    async with engine.connect() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM alerts WHERE state = 'firing'"))).scalar_one() == 1


async def test_a_preview_of_what_is_in_force_changes_nothing(engine: AsyncEngine, api: Api) -> None:
    await api.post("/v1/scorecards", at_once())
    await fold(engine, api, {"one": 1, "ten": 10, "never": 0})
    told = (await api.post("/v1/scorecards/preview", at_once())).json
    assert all(shift["before"] == shift["after"] for shift in told["bands"])
    assert (told["judged"], told["score"]["compared"], told["score"]["mean"]) == (3, 2, 0)


async def test_a_draw_is_of_so_many_accounts_and_always_the_same(engine: AsyncEngine, api: Api) -> None:
    await fold(engine, api, {f"a{number:03}": number % 20 for number in range(300)})
    draws = [(await api.post("/v1/scorecards/preview?accounts=50", at_once())).json for _ in range(2)]
    assert draws[0] == draws[1]
    assert (draws[0]["accounts"], draws[0]["judged"]) == (300, 50)
    assert sum(shift["accounts"] for shift in draws[0]["bands"]) == 50
    for accounts in (300, 301, 100_000):
        assert (await api.post(f"/v1/scorecards/preview?accounts={accounts}", at_once())).json["judged"] == 300
    for wrong in ("0", "100001", "all", "1.5"):
        refused = await api.post(f"/v1/scorecards/preview?accounts={wrong}", at_once())
        assert (refused.status, refused.fields) == (422, ["accounts"]), wrong


async def test_without_accounts_there_is_nothing_to_judge(api: Api) -> None:
    told = (await api.post("/v1/scorecards/preview", at_once())).json
    assert (told["accounts"], told["judged"], told["bands"], told["score"]["mean"]) == (0, 0, [], None)


async def test_checking_takes_a_key_that_reads_and_a_preview_one_that_writes(engine: AsyncEngine, api: Api) -> None:
    reader = await make_key(engine, "read")
    statuses = [(await api.post(f"/v1/scorecards/{route}", document(), key=reader)).status for route in ROUTES]
    assert statuses == [200, 200, 403]


async def test_a_preview_is_what_the_documentation_says(engine: AsyncEngine, api: Api) -> None:
    await fold(engine, api, {"ten": 10})
    schemas = (await api.get("/openapi.json", key=None)).json["components"]["schemas"]
    told = (await api.post("/v1/scorecards/preview", at_once())).json
    assert set(schemas["Preview"]["properties"]) == set(schemas["Preview"]["required"]) == set(told)
    assert set(schemas["PreviewScoreChange"]["properties"]) == set(told["score"])
    assert set(schemas["AccountMove"]["properties"]) == set((told["score"]["up"] + told["score"]["down"])[0])
