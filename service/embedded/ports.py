"""Ports of 127.0.0.1."""

import socket
from secrets import randbelow

from service.runtime.errors import HealthError

# Below the ports that Linux (from 32768) and macOS (from 49152) give to outgoing connections: a port from here is still
# free when a server that was stopped comes back to it.
FIRST, LAST = 20_000, 32_000


def free_port() -> int:
    """A port that nobody listens on."""
    while True:
        port = FIRST + randbelow(LAST - FIRST)
        if is_free(port):
            return port


def is_free(port: int) -> bool:
    """True if a server could listen on `port` now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen()  # two sockets may share a bound port as long as neither listens
        except OSError:
            return False
    return True


def require_free(port: int) -> None:
    """Raise `HealthError` if something listens on `port` already."""
    if not is_free(port):
        raise HealthError(f"Port {port} of 127.0.0.1 is in use", "Stop what uses it, or choose another port")


def listens(port: int) -> bool:
    """True if a server accepts connections on `port`."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
