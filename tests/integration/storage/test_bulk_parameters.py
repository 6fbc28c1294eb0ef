"""Columns that are sent as one text: Postgres makes the same values of it again."""

from random import Random

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from service.storage.database.bulk_parameters import joined_texts, number_array, text_array

pytestmark = pytest.mark.anyio

ODD_TEXTS = ["", "NULL", "null", "{}", ",", '"', "\\", '\\"', " a ", "\x1f", "\n", "é", "a" * 1000]


async def sent(engine: AsyncEngine, kind: str, value: str) -> list[object]:
    async with engine.connect() as connection:
        found = await connection.execute(text(f"SELECT CAST(CAST(:value AS text) AS {kind}[])"), {"value": value})
        return list(found.scalar_one())


async def test_texts_come_back_whatever_they_hold(engine: AsyncEngine) -> None:
    values = Random(1).choices(ODD_TEXTS, k=200)
    assert await sent(engine, "text", text_array(values)) == values


async def test_joined_texts_come_back(engine: AsyncEngine) -> None:
    values = [value for value in ODD_TEXTS if value and value != "\x1f"]
    async with engine.connect() as connection:
        found = await connection.execute(
            text("SELECT string_to_array(:value, chr(31))"), {"value": joined_texts(values)}
        )
        assert found.scalar_one() == values


async def test_numbers_come_back_to_the_last_bit(engine: AsyncEngine) -> None:
    random = Random(2)
    floats = [0.1, 100.0, 5e-324, 1e22, -1.7976931348623157e308, None, *(random.uniform(0, 100) for _ in range(500))]
    integers = [0, -(2**63), 2**63 - 1, None, *(random.getrandbits(60) for _ in range(500))]
    assert await sent(engine, "float8", number_array(floats)) == floats
    assert await sent(engine, "bigint", number_array(integers)) == integers
