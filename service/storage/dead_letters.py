"""Dead letters: records that were refused, kept whole, with the reason."""

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


class DeadLetterRow(Struct, frozen=True):
    """A row to write; `headers` is JSON text: [[name, base64 value], …]."""

    topic: str
    partition: int
    offset: int
    account_id: str | None
    reason: str
    key: bytes | None
    value: bytes | None
    headers: str
    recorded_at: datetime


_INSERT = text("""
    INSERT INTO dead_letters (topic, partition, "offset", account_id, reason, key, value, headers, recorded_at)
    SELECT new.topic, new.partition, new.at, new.account_id, new.reason, new.key, new.value,
           CAST(new.headers AS jsonb), new.recorded_at
    FROM unnest(CAST(:topic AS text[]), CAST(:partition AS int[]), CAST(:offset AS bigint[]),
                CAST(:account_id AS text[]), CAST(:reason AS text[]), CAST(:key AS bytea[]), CAST(:value AS bytea[]),
                CAST(:headers AS text[]), CAST(:recorded_at AS timestamptz[]))
         AS new (topic, partition, at, account_id, reason, key, value, headers, recorded_at)
    ON CONFLICT (topic, partition, "offset") DO NOTHING
""")


async def insert(connection: AsyncConnection, rows: Sequence[DeadLetterRow]) -> None:
    """Keep refused records. A record that is refused again, after an operator rewound, is kept once."""
    if rows:
        columns = {name: [getattr(row, name) for row in rows] for name in DeadLetterRow.__struct_fields__}
        await connection.execute(_INSERT, columns)
