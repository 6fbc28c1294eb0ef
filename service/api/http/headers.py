"""Headers of a request from the server's list: several are read of each, and Starlette's mapping takes longer."""

from starlette.types import Scope


def values_of(scope: Scope, name: bytes) -> list[str]:
    """The values of a header, whose `name` is in lower case, in the order in which they were sent."""
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def first_of(scope: Scope, name: bytes) -> str | None:
    """The first of the values; None if there is none."""
    return next(iter(values_of(scope, name)), None)
