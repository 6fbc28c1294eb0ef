"""The API keeps to its own description, for all requests. `make fuzz-api EXAMPLES=… SEED=…` sends more of them."""

import logging
import os

import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from service.runtime.settings import Settings
from tests.support.api_fuzz import SETTINGS, fuzz, target
from tests.support.sizes import sized

EXAMPLES = int(os.environ.get("FUZZ_API_EXAMPLES") or sized(2, 5))
"""Requests per operation, in the phase that makes most."""
SEED = int(os.environ.get("FUZZ_API_SEED") or 1)

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(max(400, 80 * EXAMPLES))]


def operations_of(app: FastAPI) -> int:
    return sum(len(methods) for methods in app.openapi()["paths"].values())


async def test_schemathesis_finds_nothing_with_every_check_on(settings: Settings, engine: AsyncEngine) -> None:
    async with target(Settings(_env_file=None, **{**settings.model_dump(), **SETTINGS}), engine) as api:
        found = await fuzz(api, EXAMPLES, SEED)
        logging.getLogger(__name__).info("%s\n%d requests", found.report, found.requests)
        assert found.held, found.report[-20_000:]
        every = operations_of(api.app)
        assert f"Selected: {every}/{every}" in found.report
        assert f"Tested: {every}" in found.report
        assert found.requests > min(1_000 * EXAMPLES, 5_000), found.report
        assert (await api.get("/readyz", key=None)).status == 200
