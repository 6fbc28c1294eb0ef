"""A policy on its way to another process: compiled scorecards can't be pickled. Needs no Arrow."""

from functools import lru_cache

import msgspec
from msgspec import Struct

from scoring.rules.conditions import Rule
from scoring.rules.policy import Policy
from scoring.scorecards.document import ScorecardDocument
from scoring.scorecards.scorecard import compile_scorecard


class _Policy(Struct, frozen=True):
    """The documents that a policy is compiled from."""

    scorecards: list[tuple[int, ScorecardDocument]]
    rules: tuple[Rule, ...]
    retention: int


def encode_policy(policy: Policy) -> bytes:
    """The scorecards, rules and retention of a policy; equal ones give equal bytes. What was once in force is left out,
    as a replay judges by one policy alone.
    """
    cards = [(card.version, card.document) for card in policy.scorecards]
    return msgspec.json.encode(_Policy(cards, policy.rules, policy.retention), order="deterministic")


@lru_cache(maxsize=1)
def decode_policy(encoded: bytes) -> Policy:
    """The policy that was encoded, compiled."""
    plain = msgspec.json.decode(encoded, type=_Policy)
    cards = tuple(compile_scorecard(document, version) for version, document in plain.scorecards)
    return Policy(cards, plain.rules, plain.retention)
