"""What is installed only on demand: the name of the extra is in the error, not an ImportError at a user."""

from importlib.util import find_spec

from service.runtime.errors import HealthError


def require_files_extra(what: str) -> None:
    """Make sure that Arrow is there, which `what` needs. Raises `HealthError` naming the extra."""
    if find_spec("pyarrow") is None:
        raise HealthError(
            f"{what} needs the extra `files`, which isn't installed", "Run: pip install 'account-health[files]'"
        )
