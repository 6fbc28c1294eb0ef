"""Records of other people's clients, with every codec and in transactions: good ones count, others are dead letters."""

import asyncio
import json
from collections.abc import Callable

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from scoring.state.account_state import decode
from service.runtime.settings import Settings
from tests.support import javascript, kafka_jars
from tests.support.cloud_events import encode, usage
from tests.support.foreign_clients import CLIENTS, CODECS, Sent
from tests.support.service import consuming, eventually, query

pytestmark = pytest.mark.anyio
GOOD = 40
MISSING: dict[str, Callable[[], str | None]] = {
    "kafkajs": javascript.what_is_missing,
    "java": kafka_jars.what_is_missing,
}


def good(account_id: str, number: int) -> Sent:
    """Records in structured and binary mode in turn; headers without a value count as missing."""
    event = usage(account_id)
    if number % 2:
        return Sent(account_id.encode(), encode(event), [("ce_traceparent", None), ("other", b"\xff")])
    data = json.dumps(event.pop("data")).encode()
    headers = [(f"ce_{name}", str(text).encode()) for name, text in event.items()]
    return Sent(account_id.encode(), data, [*headers, ("content-type", b"application/json"), ("ce_traceparent", None)])


def damaged(account_id: str) -> list[Sent]:
    """The records that must become dead letters."""
    event = encode(usage(account_id))
    return [
        Sent(None, event[:-7]),
        Sent(b"\xff\x00", b"", [("null", None), ("\\u0000", b"\x00")]),
        Sent(account_id.encode(), b"{}", [("ce_specversion", b"1.0"), ("ce_id", None)]),
        Sent(account_id.encode(), event, [("ce_specversion", b"\xff")]),
    ]


@pytest.mark.parametrize("client", CLIENTS)
async def test_every_codec_is_read_and_every_record_accounted_for(
    client: str, settings: Settings, engine: AsyncEngine
) -> None:
    if client in MISSING and (why := MISSING[client]()):
        pytest.skip(f"{client} can't run here: {why}")
    batches = {}
    for codec in CODECS:
        mixed = [good(codec, number) for number in range(GOOD)]
        for place, record in enumerate(damaged(codec)):
            mixed[place * 7 : place * 7] = [record, Sent(codec.encode(), None)]
        batches[codec] = mixed
    bad = len(CODECS) * len(damaged(""))
    async with consuming(settings):
        await asyncio.to_thread(CLIENTS[client], settings.kafka_bootstrap_servers, settings.topic_usage, batches)

        async def all_is_folded() -> bool:
            letters = await query(engine, "SELECT 1 FROM dead_letters")
            return len(letters) == bad and await counted(engine) == dict.fromkeys(CODECS, GOOD)

        await eventually(all_is_folded, "all are folded or kept")
    letters = await query(engine, "SELECT value, reason, headers FROM dead_letters")
    assert all(row.value is not None and row.reason for row in letters)
    nulls = [] if client == "kafkajs" else [["null", "="]]
    assert [*nulls, ["\\u0000", "AA=="]] in [row.headers for row in letters]
    assert await query(engine, "SELECT 1 FROM progress WHERE halted IS NOT NULL") == []


async def counted(engine: AsyncEngine) -> dict[str, int]:
    rows = await query(engine, "SELECT account_id, state FROM usage_states")
    return {row.account_id: sum(decode(row.state, None, None, None).usage.days.values()) for row in rows}
