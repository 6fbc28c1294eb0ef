"""The database's clock, which all processes share."""

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_NOW = text("SELECT clock_timestamp()")


async def read(connection: AsyncConnection) -> datetime:
    """The database's time at this instant, not at the start of the transaction."""
    now: datetime = (await connection.execute(_NOW)).scalar_one()
    return now
