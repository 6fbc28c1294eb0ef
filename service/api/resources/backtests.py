"""/v1/backtests: how well scorecards and rules would have told who leaves, by the past."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from fastapi import APIRouter, Query, Response
from msgspec import Meta
from pydantic import BaseModel, ConfigDict, Field

from service.api.access.auth import READ, WRITE
from service.api.access.deps import Api
from service.api.http.openapi_helpers import json_request_body, schema_ref
from service.api.http.pagination import PageQuery
from service.api.http.problems import ProblemError, not_found
from service.api.http.request_bodies import JsonObject
from service.jobs.backtest.job_request import plan, read_request
from service.runtime.errors import HealthError, require_files_extra
from service.storage.policy import backtests

router = APIRouter(prefix="/v1/backtests", tags=["scorecards"])
EXAMPLE = {
    "log": {"path": "2026/usage.parquet", "topic": "usage-events", "columns": {"subject": "account"}},
    "outcomes": "2026/renewals.csv",
    "lead_days": 14,
}
_Position = tuple[Annotated[datetime, Meta(tz=True)], UUID]


class BacktestSummary(BaseModel):
    """A back-test that was asked for, and how far it is."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    state: Literal["queued", "running", "done", "failed"]
    request: dict[str, Any] = Field(description="What was asked for.")
    step: str = Field(description="The work under way.")
    done: int = Field(description="The number of rows of the step that are done.")
    total: int | None = Field(description="The number of rows of the step, if that is known.")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    problem: str | None = Field(description="Why it failed, and what to do.")


class BacktestRun(BacktestSummary):
    """A back-test with its report: that of `account-health backtest --json`, without examples of accounts."""

    report: dict[str, Any] | None = Field(description="Null until it is done.")


class BacktestPage(BaseModel):
    """A page of back-tests."""

    items: Sequence[BacktestSummary]
    next_page_token: str | None


@router.post(
    "",
    status_code=202,
    summary="Run a back-test",
    dependencies=WRITE,
    openapi_extra=json_request_body(schema_ref("BacktestRequest"), EXAMPLE),
)
async def create_backtest(body: JsonObject, api: Api, response: Response) -> BacktestRun:
    """Judge the scorecards and rules in force, and drafts, by a log of events and what became of its accounts.

    The log is a file or folder in the server's folder of logs, or without `log` the service's own topics. It takes
    seconds to minutes: poll the address in `Location`. The latest 100 are kept. 409 while 20 aren't done; 501 if the
    server has no Arrow.
    """
    try:
        require_files_extra("A back-test")
    except HealthError as error:
        raise ProblemError(501, f"{error}.") from None
    request = read_request(body)
    plan(request, api.settings, Path())  # checks it; nothing is written
    async with api.engine.begin() as connection:
        created = await backtests.create(connection, msgspec.to_builtins(request))
        if created is None:
            raise ProblemError(409, f"{backtests.MOST_WAITING} back-tests aren't done yet. Try again when one is.")
        found = await backtests.get(connection, created)
    response.headers["Location"] = f"/v1/backtests/{created}"
    return BacktestRun.model_validate(found)


@router.get("", summary="List back-tests", dependencies=READ)
async def list_backtests(query: Annotated[PageQuery, Query()], api: Api) -> BacktestPage:
    """Back-tests without their reports, newest first."""
    async with api.reads.connect() as connection:
        rows = await backtests.newest(connection, query.limit, query.start(_Position))
    items, token = query.cut(rows, lambda row: (row.created_at, row.id))
    return BacktestPage(items=[BacktestSummary.model_validate(row) for row in items], next_page_token=token)


@router.get("/{backtest_id}", summary="One back-test", dependencies=READ)
async def read_backtest(backtest_id: UUID, api: Api) -> BacktestRun:
    """A back-test with its progress, and once it is done its report, which deploy/backtests.md explains."""
    async with api.reads.connect() as connection:
        found = await backtests.get(connection, backtest_id)
    if found is None:
        raise not_found("back-test")
    return BacktestRun.model_validate(found)
