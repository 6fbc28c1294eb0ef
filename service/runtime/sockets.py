"""Listening sockets, with an error that an operator can act on when one can't be opened."""

import errno
import socket
from ipaddress import ip_address

from service.runtime.errors import HealthError


def listen_on(name: str, host: str, port: int, remedy: str, *, backlog: int | None = None) -> socket.socket:
    """A socket bound to HEALTH_<name>_HOST and HEALTH_<name>_PORT.

    Raises `HealthError` naming the setting at fault; `remedy` is for a port in use.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=backlog)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise HealthError(f"HEALTH_{name}_PORT {port} is in use on {host}", remedy) from None
        if error.errno == errno.EACCES:
            raise HealthError(f"HEALTH_{name}_PORT {port} needs privileges", "Set a port of 1024 or higher") from None
        raise HealthError(
            f"HEALTH_{name}_HOST {host} can't be used: {error.strerror}", "Set an address of this machine"
        ) from None


def connectable_host(host: str) -> str:
    """The host to connect to when a server listens on `host`, as part of a URL."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if address.is_unspecified:
        return "127.0.0.1" if address.version == 4 else "[::1]"
    return host if address.version == 4 else f"[{host}]"
