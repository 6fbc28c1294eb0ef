"""A Kafka-compatible broker of our own, from the `noida-db` wheel, and a probe of it through a client's eyes."""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from signal import SIGTERM

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from service.embedded.ports import listens
from service.embedded.process_tree import stop_leftovers
from service.embedded.server import Server, program


def answers(port: int) -> bool:
    """True once a broker on 127.0.0.1:`port` answers clients with its metadata, which it does after loading its data.

    Blocks. Works with and without a running event loop.
    """
    if not listens(port):  # the client would log an error for each try
        return False
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, _knows_a_broker(f"127.0.0.1:{port}")).result()


async def _knows_a_broker(bootstrap: str) -> bool:
    client = AIOKafkaClient(bootstrap_servers=bootstrap, request_timeout_ms=30_000)
    try:
        await client.bootstrap()
        return bool(client.cluster.brokers())
    except KafkaError:
        return False
    finally:
        await client.close()


class EmbeddedBroker(Server):
    """A broker for trials. It holds all records in memory, and writes them as one file once a second.

    `stop` keeps everything. A killed broker loses the records of its last seconds, which Apache Kafka would keep, and
    then gives their offsets to new ones. It never expels a group member that died.
    """

    patience = 120.0  # a large file takes seconds to write at the end and to read at the start

    def __init__(self, data_dir: Path, port: int | None = None) -> None:
        """Prepare like `Server`; raises `MissingExtraError`."""
        super().__init__(data_dir, port)
        self._program = program("noida_db", "noida-db")

    @property
    def address(self) -> str:
        """`host:port` for `bootstrap_servers`."""
        return f"127.0.0.1:{self.port}"

    def _launch(self) -> None:
        stop_leftovers(self._program, self.folder, SIGTERM, self.patience)
        if not os.access(self._program, os.X_OK):  # some installers drop the permission
            self._program.chmod(0o755)
        command = [str(self._program), "start", "--only", "kafka", "--host", "127.0.0.1"]
        command += ["--kafka-port", str(self.port), "--data-dir", str(self.folder)]
        broker = self._spawn("The embedded broker", command)
        broker.wait_until(lambda: answers(self.port), self.patience)
