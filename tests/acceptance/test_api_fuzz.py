"""Whatever is asked, the API keeps to what it says about itself. `make fuzz-api` asks for longer."""

import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from service.runtime.settings import Settings
from tests.support.api_fuzz import SETTINGS, fuzz, target

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(400)]

EXAMPLES = 5
SEED = 1


def operations_of(app: FastAPI) -> int:
    return sum(len(methods) for methods in app.openapi()["paths"].values())


async def test_schemathesis_finds_nothing_with_every_check_on(settings: Settings, engine: AsyncEngine) -> None:
    async with target(Settings(_env_file=None, **{**settings.model_dump(), **SETTINGS}), engine) as api:
        found = await fuzz(api, EXAMPLES, SEED)
        assert found.held, found.report[-20_000:]
        every = operations_of(api.app)
        assert f"Selected: {every}/{every}" in found.report
        assert f"Tested: {every}" in found.report
        assert found.requests > 5_000, found.report
        assert (await api.get("/readyz", key=None)).status == 200
