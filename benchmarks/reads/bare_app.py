"""The minimum of a read: Starlette, asyncpg and uvicorn, one row by its key, answered as JSON.

`python -m benchmarks.reads.bare_app DATABASE_URL PORT` serves `/accounts/{id}` with uvicorn's fastest loop and parser.
"""

import sys

import asyncpg
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

POOL_SIZE = 5
"""As many connections as the service has by default."""
ROW = "SELECT account_id, score, band, coverage, scorecard, scorecard_version FROM scores WHERE account_id = $1"


async def serve(url: str, port: int) -> None:
    """Serve one account's score, over a pool of its own."""
    async with asyncpg.create_pool(url, min_size=POOL_SIZE, max_size=POOL_SIZE) as pool:

        async def read_account(request: Request) -> JSONResponse:
            row = await pool.fetchrow(ROW, request.path_params["account_id"])
            return JSONResponse(dict(row)) if row else JSONResponse(None, 404)

        app = Starlette(routes=[Route("/accounts/{account_id}", read_account)])
        config = uvicorn.Config(app, port=port, http="httptools", access_log=False, log_level="warning")
        await uvicorn.Server(config).serve()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], int(sys.argv[2])))
