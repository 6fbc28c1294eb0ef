"""Kinds of targets, as the outbox tells them apart."""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple


class Targets(NamedTuple):
    """Kinds of targets, by name.

    Those in `states` keep what each account is like now: they are sent quiet alerts too, and once they were sent an
    account, all that is told of it, or else they would keep what was sent last for good. Those in `people` are read by
    people: what ends for many at once they hear of in the digest alone.
    """

    states: Collection[str] = ()
    people: Collection[str] = ()


NO_TARGETS = Targets()


Scope = Literal["account", "incident"]
"""What is told as a state."""


NO_SCOPES: Mapping[str, Scope] = MappingProxyType({})
