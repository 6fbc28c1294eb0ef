"""Alerts are counted once, when they are committed, however often writing them was tried."""

from datetime import UTC, datetime

import pytest
from prometheus_client import REGISTRY
from sqlalchemy.ext.asyncio import AsyncEngine

from service.alerts import operator_notices
from tests.support.service import query

pytestmark = pytest.mark.anyio


def counted() -> float:
    return REGISTRY.get_sample_value("health_alerts_total", {"state": "digest"}) or 0.0


async def tell(engine: AsyncEngine, *, fail: bool) -> None:
    async with engine.begin() as connection:
        await operator_notices.send(connection, "notice", {"about": "tests"}, url="", now=datetime.now(UTC))
        if fail:
            raise ConnectionError("before the commit")


async def test_what_is_rolled_back_is_not_counted(engine: AsyncEngine) -> None:
    before = counted()
    for _ in range(3):
        with pytest.raises(ConnectionError):
            await tell(engine, fail=True)
    assert counted() == before
    for _ in range(2):
        await tell(engine, fail=False)
    assert counted() == before + 2
    assert len(await query(engine, "SELECT 1 FROM alerts")) == 2
