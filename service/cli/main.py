"""The `account-health` command: turns failures into one line and an exit status."""

import sys

from service.runtime.errors import HealthError
from service.runtime.signals import die_on_sigterm


def main() -> None:
    """Run the command. A `HealthError` becomes one line on standard error and exit status 1."""
    die_on_sigterm()
    try:
        # Imported here, which takes a second, so that Ctrl-C works meanwhile too.
        from service.cli.app import app

        app()
    except HealthError as error:
        print(f"account-health: {error}", file=sys.stderr)  # noqa: T201 - the command's own voice
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
