"""Makes a lost Kafka connection raise `KafkaConnectionError` to its senders under uvloop too.

aiokafka expects the behaviour of asyncio's transports after the other side has reset the connection. Until it notices
the reset, a moment later, uvloop's transports raise RuntimeError, which would end the tasks behind a consumer or the
whole process: https://github.com/aio-libs/aiokafka/issues/1038
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiokafka import conn
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError


class _Connection(AIOKafkaConnection):  # type: ignore[misc]  # aiokafka has no types
    def send(self, *args: Any, **options: Any) -> Any:
        with self._as_asyncio_would():
            return super().send(*args, **options)

    def _send_sasl_token(self, *args: Any, **options: Any) -> Any:
        with self._as_asyncio_would():
            return super()._send_sasl_token(*args, **options)

    @contextmanager
    def _as_asyncio_would(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            if self._writer is None or not self._writer.is_closing():
                raise
            self.close(reason=CloseReason.CONNECTION_BROKEN)
            raise KafkaConnectionError(f"Connection at {self.host}:{self.port} broken: {error}") from error


def guard_connections() -> None:
    """Make aiokafka use such connections from now on."""
    conn.AIOKafkaConnection = _Connection
