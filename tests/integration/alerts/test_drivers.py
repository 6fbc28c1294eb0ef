"""The drivers that alerts name, where a CRM knows accounts before anybody uses the product: the usual order."""

from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from service.runtime.settings import Settings
from tests.support.service import query
from tests.support.sweeping import START, Clock, described, used

pytestmark = pytest.mark.anyio


async def test_the_first_score_of_an_account_that_was_synced_before_is_explained_by_what_is_missing(
    engine: AsyncEngine, database_settings: Settings
) -> None:
    clock = Clock(engine, database_settings)
    await clock.add_rule("At risk", "score", direction="below", level=90.0)
    await clock.fold({"acme": [described("acme", START, name="Acme", seats=40)]}, START)
    assert [row.score for row in await query(engine, "SELECT score FROM scores")] == [None]
    later = START + timedelta(hours=1)
    await clock.fold({"acme": [used("acme", later)]}, later)
    (alert,) = [row.data for row in await query(engine, "SELECT data FROM alerts")]
    assert (alert["state"], alert["previous_score"]) == ("firing", None)
    assert alert["drivers"]
    assert all(driver["delta"] < 0 for driver in alert["drivers"])
