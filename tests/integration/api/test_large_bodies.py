"""Megabytes that no route accepts: refused before they are parsed in full, in an answer that repeats little of them."""

import asyncio
import json
import time
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.api import Api
from tests.support.api_walk import filled, something_of_everything

pytestmark = pytest.mark.anyio

LONGEST_ANSWER = 64_000
LONGEST_STOP = 2.0
"""Seconds in which nobody else is answered; it was seven and more. Machines that run tests are slow and busy."""
UNKNOWN = {f"field{number}": 1 for number in range(200_000)}


async def longest_stop_while(asking: Any) -> tuple[Any, float]:
    """The answer, and the longest time that the event loop, which is the server's too, stood still meanwhile."""
    longest = 0.0

    async def tick() -> None:
        nonlocal longest
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.005)
            longest = max(longest, time.perf_counter() - began)

    ticking = asyncio.create_task(tick())
    try:
        return await asking, longest
    finally:
        ticking.cancel()
        with suppress(asyncio.CancelledError):
            await ticking


async def test_megabytes_of_unknown_fields_stop_nobody_else(engine: AsyncEngine, api: Api) -> None:
    known = await something_of_everything(api, engine)
    raw = json.dumps(UNKNOWN).encode()
    assert 3_400_000 < len(raw) < 4_000_000
    count = 0
    for path, methods in api.app.openapi()["paths"].items():
        for method, operation in methods.items():
            if "requestBody" not in operation:
                continue
            headers = {"Content-Type": "application/json"}
            asking = api.call(method.upper(), filled(path, **known), raw=raw, headers=headers)
            answer, stop = await longest_stop_while(asking)
            assert answer.status in (413, 422), (method, path, answer.status)
            assert len(answer.body) < LONGEST_ANSWER, (method, path)
            assert stop < LONGEST_STOP, (method, path)
            count += 1
    assert count > 10


HEAD = b'{"url": "https://crm.example.com", '
KINDS = [
    HEAD + b'"event_types": [' + b'"x", ' * 600_000 + b'"x"]}',
    HEAD + b'"bands": [' + b'"x", ' * 600_000 + b'"x"]}',
    HEAD + b'"headers": ' + json.dumps({f"x{number}": 1 for number in range(200_000)}).encode() + b"}",
    HEAD + b'"headers": {' + b'"x": 1, ' * 400_000 + b'"x": 1}}',
    HEAD + b'"x": 1, ' * 400_000 + b'"x": 1}',
    HEAD + b'"options": ' + b"[" * 1_000 + b"]" * 1_000 + b"}",
    HEAD + b'"rate_limit": ' + b"9" * 3_000_000 + b"}",
    HEAD + b'"description": "' + b"x" * 3_000_000 + b'"}',
    HEAD + b'"' + b"x" * 3_000_000 + b'": 1}',
    b'{"url": "' + b"x" * 3_000_000 + b'"}',
    b"[" + b"1," * 1_500_000 + b"1]",
    b'"' + b"x" * 3_000_000 + b'"',
]


@pytest.mark.parametrize("raw", KINDS, ids=range(len(KINDS)))
async def test_other_kinds_of_too_much(api: Api, raw: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    answer, stop = await longest_stop_while(api.post("/v1/webhook-endpoints", raw=raw, headers=headers))
    assert answer.status == 422
    assert len(answer.body) < LONGEST_ANSWER
    assert stop < LONGEST_STOP


async def test_a_query_of_many_unknown_parameters(api: Api) -> None:
    query = "&".join(f"p{number}" for number in range(8_000))
    answer, stop = await longest_stop_while(api.get(f"/v1/accounts?{query}"))
    assert answer.status == 422
    assert len(answer.json["errors"]) == 50
    assert "more errors are not shown" in answer.json["detail"]
    assert stop < LONGEST_STOP


async def test_few_unknown_fields_are_all_named_beside_what_else_is_wrong(api: Api) -> None:
    answer = await api.post("/v1/api-keys", {"name": "k", "scopes": ["all"], "colour": 1, "shape": 2})
    assert answer.fields == ["scopes[0]", "colour", "shape"]


async def test_an_endpoint_with_all_that_it_may_have_is_not_too_much(api: Api) -> None:
    words = ["w" * 196 + str(1000 + number) for number in range(200)]
    body = {"url": "https://crm.example.com/hooks", **dict.fromkeys(("rules", "segments", "stages", "owners"), words)}
    assert len(json.dumps(body)) > 65_536
    assert (await api.post("/v1/webhook-endpoints", body)).status == 201
