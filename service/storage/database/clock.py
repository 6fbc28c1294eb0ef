"""The clock of the database, which all processes share."""

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_NOW = text("SELECT clock_timestamp()")


async def read(connection: AsyncConnection) -> datetime:
    """The time as the database has it, at this very instant and not at the beginning of the transaction."""
    now: datetime = (await connection.execute(_NOW)).scalar_one()
    return now
