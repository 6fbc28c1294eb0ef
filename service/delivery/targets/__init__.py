"""Targets: the forms in which a message can be sent. One module each; this is where they are registered."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from service.delivery.targets import standard
from service.delivery.targets.message import Body, Message
from service.errors import HealthError

Builder = Callable[[Message], Body]

TARGETS: Mapping[str, Builder] = MappingProxyType({"standard": standard.build})


def builder(target: str) -> Builder:
    """The builder of a target by name; raises `HealthError` that lists the names if there is none."""
    try:
        return TARGETS[target]
    except KeyError:
        raise HealthError(f"target {target!r} is unknown", f"Use one of: {', '.join(TARGETS)}") from None
