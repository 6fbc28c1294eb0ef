"""A connection that Kafka's side resets, as a broker does that is killed, and is used before anyone has noticed."""

import asyncio
from typing import Any

import uvloop
from aiokafka.conn import create_conn
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest
from sqlalchemy import URL

from service.messaging.client_config import client_arguments
from service.runtime.settings import Settings
from tests.support.cut_line import cut_line

TRIES = 20


def test_a_lost_connection_is_reported_as_such_under_uvloop(bootstrap: str) -> None:
    told = uvloop.run(_in_time(Settings(_env_file=None, kafka_bootstrap_servers=bootstrap)))
    assert {type(each) for each in told} == {KafkaConnectionError}, told


async def _in_time(settings: Settings) -> list[Exception]:
    async with asyncio.timeout(30):
        return [error for _ in range(TRIES) if (error := await _use_once_lost(settings))]


async def _use_once_lost(settings: Settings) -> Exception | None:
    """The error of sending between the transport's end and aiokafka's noticing it; None if it noticed first."""
    client_arguments(settings)
    host, port = settings.kafka_bootstrap_servers.split(":")
    async with cut_line(URL.create("kafka", host=host, port=int(port))) as line:
        lost = await create_conn(line.url.host, line.url.port)
        assert (await lost.send(MetadataRequest([]))).brokers
        line.reset()
        while not lost._writer.is_closing():  # what a user of the connection can't know
            await asyncio.sleep(0)
        return await _send(lost)


async def _send(lost: Any) -> Exception | None:
    answers = []
    try:
        while lost.connected():
            answers.append(asyncio.create_task(lost.send(MetadataRequest([]))))
            await asyncio.sleep(0)
    except Exception as error:  # noqa: BLE001 - whatever it is, the test looks at its type
        return error
    finally:
        lost.close()
        await asyncio.gather(*answers, return_exceptions=True)
    return None
