"""TLS to Postgres, for a server that was built without: it ends here, as at a pooler."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from tests.support.certificates import Signed

_SSL_REQUEST = bytes.fromhex("0000000804d2162f")


@asynccontextmanager
async def tls_line(host: str, port: int, certificate: Signed) -> AsyncIterator[int]:
    """A port of 127.0.0.1 that leads to Postgres, and accepts only clients that ask for TLS."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            if await reader.readexactly(len(_SSL_REQUEST)) == _SSL_REQUEST:
                writer.write(b"S")
                await writer.start_tls(context)
                up_reader, up_writer = await asyncio.open_connection(host, port)
                await asyncio.gather(_pipe(reader, up_writer), _pipe(up_reader, writer))
        writer.close()

    async with await asyncio.start_server(carry, "127.0.0.1") as server:
        yield server.sockets[0].getsockname()[1]


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()
