"""Kinds of targets, as the outbox distinguishes them."""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple


class Targets(NamedTuple):
    """Kinds of targets, by name.

    Those in `states` mirror the current state of each account: they are sent quiet alerts too and, once they were sent
    an account, every later change of it, as they would keep a stale state otherwise. Those in `people` are read by
    people: alerts that end for many accounts at once reach them in the digest alone.
    """

    states: Collection[str] = ()
    people: Collection[str] = ()


NO_TARGETS = Targets()


Scope = Literal["account", "incident"]
"""The alerts that are sent to such targets as a state."""


NO_SCOPES: Mapping[str, Scope] = MappingProxyType({})
