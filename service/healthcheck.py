"""`python -m service.healthcheck`: whether the process of this container is alive, for engines that run a command.

A module of its own, not a command of `account-health`, whose import takes a second of CPU: this runs every half minute
beside each process.
"""

import http.client
import json
import sys

from service.runtime.errors import HealthError
from service.runtime.settings import Settings, load_settings
from service.runtime.sockets import connectable_host

PATIENCE_SECONDS = 4.0


def why_not_alive(settings: Settings) -> str | None:
    """The complaint of `/livez` of the process on HEALTH_PROBES_PORT; None if it is alive."""
    if not settings.probes_port:
        return "there is no port to ask: set HEALTH_PROBES_PORT"
    where = f"{connectable_host(settings.probes_host)}:{settings.probes_port}"
    connection = http.client.HTTPConnection(where, timeout=PATIENCE_SECONDS)
    try:
        connection.request("GET", "/livez")
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException) as error:
        return f"no answer from {where}: {str(error) or type(error).__name__}"
    finally:
        connection.close()
    return None if answer.status == http.client.OK else _complaint(answer.status, body)


def _complaint(status: int, body: bytes) -> str:
    try:
        return str(json.loads(body)["detail"])
    except (ValueError, KeyError, TypeError):
        return f"/livez answers with status {status}"


def main() -> None:
    """Exit with status 0 if the process is alive; else say why not, and exit with status 1."""
    try:
        complaint = why_not_alive(load_settings())
    except HealthError as error:
        complaint = str(error)
    if complaint:
        print(f"not alive: {complaint}")  # noqa: T201 - container engines store the output and show it
        sys.exit(1)


if __name__ == "__main__":
    main()
