"""Sources as people see them: over HTTP and on the command line, and ending an outage."""

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from service.runtime.settings import Settings
from service.storage.policy import sources
from service.storage.policy.sources import SourceDay
from tests.support.api import Api
from tests.support.commands import command, environment
from tests.support.service import query

pytestmark = pytest.mark.anyio

TODAY = datetime.now(UTC).date()


def ago(days: int) -> date:
    return TODAY - timedelta(days=days)


@pytest.fixture(autouse=True)
async def counted(engine: AsyncEngine) -> None:
    """Two sources, one of which went quiet yesterday, and was before."""
    async with engine.begin() as connection:
        days = [SourceDay("/app", ago(past), 40 if past > 1 else 3) for past in range(1, 31)]
        await sources.save_days(connection, [*days, SourceDay("/shop", ago(1), 12), SourceDay("/gone", ago(60), 50)])
        noticed = datetime.now(UTC) - timedelta(days=9)
        await sources.begin_outage(connection, "/app", ago(10), noticed)
        await sources.end_outage(connection, "/app", noticed + timedelta(hours=5))
        await sources.begin_outage(connection, "/app", ago(1), datetime.now(UTC))


async def test_the_list(api: Api) -> None:
    answer = await api.get("/v1/sources")
    assert answer.status == 200
    assert answer.json["next_page_token"] is None
    app, shop = answer.items
    assert (app["name"], app["is_quiet"], len(app["days"])) == ("/app", True, 28)
    assert app["days"][:2] == [{"day": str(ago(1)), "accounts": 3}, {"day": str(ago(2)), "accounts": 40}]
    now, before = app["outages"]
    assert (now["began_on"], now["ended_at"]) == (str(ago(1)), None)
    assert (before["began_on"], before["ended_at"] is None) == (str(ago(10)), False)
    assert shop == {
        "name": "/shop",
        "is_quiet": False,
        "days": [{"day": str(ago(1)), "accounts": 12}],
        "outages": [],
    }


async def test_the_list_needs_a_key(api: Api) -> None:
    assert (await api.get("/v1/sources", key=None)).status == 401


async def test_an_operator_sees_and_ends_an_outage(api: Api, engine: AsyncEngine, database_settings: Settings) -> None:
    env = environment(database_settings)
    shown = command("sources", env=env).stdout.splitlines()
    assert [line.split()[:4] for line in shown[1:]] == [
        ["/app", "QUIET", "3", "40"],
        ["/shop", "ok", "12", str(ago(1))],
    ]
    assert f"{ago(1)} to now" in shown[1]

    assert command("sources", "end", "/app", env=env).stdout == "The outage is over.\n"
    assert [source["is_quiet"] for source in (await api.get("/v1/sources")).items] == [False, False]
    [alert] = await query(engine, "SELECT account_id, rule, data FROM alerts")
    assert (alert.account_id, alert.rule, alert.data["source"]["name"]) == (None, "source outage ended", "/app")
    assert (alert.data["source"]["accounts"], alert.data["source"]["usual"]) == (None, 40)
    listed = await api.get("/v1/alerts?state=digest")
    assert [item["rule"] for item in listed.items] == ["source outage ended"]


async def test_ending_what_isnt_quiet_is_a_mistake(database_settings: Settings) -> None:
    env = environment(database_settings)
    with pytest.raises(Exception, match="returned non-zero") as failed:
        command("sources", "end", "/shop", env=env)
    assert "'/shop' isn't a quiet source" in failed.value.stderr  # type: ignore[attr-defined] # CalledProcessError's
    assert "Traceback" not in failed.value.stderr  # type: ignore[attr-defined] # as above
