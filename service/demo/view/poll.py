"""Keeping the board up to date: scores over the API, progress from Postgres."""

import asyncio
from datetime import datetime

import aiohttp
from sqlalchemy.ext.asyncio import AsyncEngine

from service.demo.api_client import Client
from service.demo.feed.folded_count import folded_offsets
from service.demo.view.board import Board
from service.demo.world.customers import MOST_CUSTOMERS
from service.runtime.errors import HealthError

LOOK_SECONDS = 1.0


async def watch_accounts(client: Client, board: Board) -> None:
    """Note all scores every second, until cancelled."""
    while True:
        try:
            accounts = await client.accounts(MOST_CUSTOMERS)
        except (aiohttp.ClientError, TimeoutError):
            board.tell("The API does not answer")
        except HealthError as error:
            board.tell(str(error))
        else:
            board.add_accounts(accounts, datetime.now().astimezone())
        await asyncio.sleep(LOOK_SECONDS)


async def watch_folding(engine: AsyncEngine, board: Board) -> None:
    """Note every second how much is folded, until cancelled."""
    while True:
        board.add_folded(sum((await folded_offsets(engine)).values()))
        await asyncio.sleep(LOOK_SECONDS)
