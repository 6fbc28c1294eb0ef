"""/v1/scorecards: published documents are versions that never change, and every account is re-evaluated."""

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from service.evaluation.policy import starter
from tests.support.api import Api

pytestmark = pytest.mark.anyio

MEASURE = {"measure": "active_days", "window": 30, "weight": 1, "curve": [[0, 0], [20, 100]]}


def document(**changes: Any) -> dict[str, Any]:
    bands = {"red": 0, "yellow": 40, "green": 70}
    return {"name": "smb", "applies_to": {"segments": ["smb"]}, "measures": [MEASURE], "bands": bands, **changes}


async def begun(engine: AsyncEngine) -> int:
    """The number of re-evaluations of all accounts that have begun."""
    async with engine.connect() as connection:
        return int((await connection.execute(text("SELECT count(*) FROM reevaluations"))).scalar_one())


async def test_the_default_is_in_force_from_the_start(api: Api) -> None:
    (only,) = (await api.get("/v1/scorecards")).items
    assert (only["name"], only["version"]) == ("default", 1)
    assert (await api.post("/v1/scorecards", starter("default"))).status == 200


async def test_a_document_is_a_new_version_unless_it_is_the_newest(engine: AsyncEngine, api: Api) -> None:
    first = await api.post("/v1/scorecards", document())
    assert (first.status, first.json) == (201, {"name": "smb", "version": 1, "warnings": []})
    assert await begun(engine) == 1
    same = await api.post("/v1/scorecards", document())
    assert (same.status, same.json) == (200, {"name": "smb", "version": 1, "warnings": []})
    assert await begun(engine) == 1

    assert (await api.post("/v1/scorecards", document(min_coverage=0.1))).json["version"] == 2
    assert (await api.post("/v1/scorecards", document())).json["version"] == 3
    assert [each["name"] for each in (await api.get("/v1/scorecards")).items] == ["default", "smb"]
    versions = (await api.get("/v1/scorecards/smb/versions")).items
    assert [each["version"] for each in versions] == [3, 2, 1]
    assert versions[1]["document"] == {**document(), "min_coverage": 0.1}
    assert (await api.get("/v1/scorecards/smb/versions/2")).json == versions[1]


async def test_a_version_that_is_not_there(api: Api) -> None:
    for path in ("default/versions/2", "smb/versions/1", "smb/versions"):
        assert (await api.get(f"/v1/scorecards/{path}")).status == 404, path
    for version in ("0", "-1", "2147483648", "newest"):
        answer = await api.get(f"/v1/scorecards/default/versions/{version}")
        assert (answer.status, answer.fields) == (422, ["version"]), version


async def test_publishing_says_what_is_odd(api: Api) -> None:
    odd = document(measures=[MEASURE, {**MEASURE, "name": "idle", "weight": 0}])
    for status in (201, 200):
        answer = await api.post("/v1/scorecards", odd)
        assert answer.status == status
        assert [each["field"] for each in answer.json["warnings"]] == ["measures[1].weight"]


async def test_what_can_t_be_published_is_named_and_not_published(api: Api) -> None:
    for changes, field in (
        ({"name": "Not a name"}, "name"),
        ({"measures": []}, "measures"),
        ({"measures": [{**MEASURE, "measure": "nsp"}]}, "measures[0].measure"),
        ({"measures": [{**MEASURE, "window": 93}]}, "measures[0].window"),
        ({"measures": [{**MEASURE, "weight": "1"}]}, "measures[0].weight"),
        ({"measures": [{**MEASURE, "curve": [[1, 0], [0, 100]]}]}, "measures[0].curve"),
        ({"measures": [{**MEASURE, "weight": 0}]}, "measures"),
        ({"measures": [{**MEASURE, "features": ["a\x00"]}]}, "measures[0].features[0]"),
        ({"applies_to": {"segments": ["a\x00"]}}, "applies_to.segments[0]"),
        ({"applies_to": None}, "applies_to"),
        ({"applies_to": {}}, "applies_to"),
        ({"colour": "red"}, "colour"),
    ):
        answer = await api.post("/v1/scorecards", document(**changes))
        assert (answer.status, answer.fields) == (422, [field]), changes
    several = document(measures=[{**MEASURE, "window": 0}], bands={"yellow": 0})
    assert (await api.post("/v1/scorecards", several)).status == 422
    assert len((await api.get("/v1/scorecards")).items) == 1
