"""The minimum of a read: Starlette, asyncpg and uvicorn, one row by its key, answered as JSON.

`python -m benchmarks.reads.bare_app DATABASE_URL PORT` serves `/accounts/{id}` with uvicorn's fastest loop and parser.
"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

POOL_SIZE = 5
"""As many connections as the service has by default."""
ROW = "SELECT account_id, score, band, coverage, scorecard, scorecard_version FROM scores WHERE account_id = $1"


def create_app(url: str) -> Starlette:
    """The application, over a pool of its own."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with asyncpg.create_pool(url, min_size=POOL_SIZE, max_size=POOL_SIZE) as pool:
            app.state.pool = pool
            yield

    return Starlette(routes=[Route("/accounts/{account_id}", read_account)], lifespan=lifespan)


async def read_account(request: Request) -> JSONResponse:
    """One account's score."""
    row = await request.app.state.pool.fetchrow(ROW, request.path_params["account_id"])
    return JSONResponse(dict(row)) if row else JSONResponse(None, 404)


if __name__ == "__main__":
    _, database_url, port = sys.argv
    uvicorn.run(
        create_app(database_url), port=int(port), loop="uvloop", http="httptools", access_log=False, log_level="warning"
    )
