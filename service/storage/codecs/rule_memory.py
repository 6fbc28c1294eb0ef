"""Encodes the rules' memory of an account for its column, and decodes it. Pure."""

from collections.abc import Mapping

import msgspec

from scoring.rules.rules import RuleMemory

_decoder = msgspec.msgpack.Decoder(dict[str, RuleMemory])
_encoder = msgspec.msgpack.Encoder()


def decode_memories(stored: bytes | None) -> dict[str, RuleMemory]:
    """Decode the output of `encode_memories`, by rule id."""
    return _decoder.decode(stored) if stored else {}


def encode_memories(memories: Mapping[str, RuleMemory]) -> bytes | None:
    """The bytes for the column `rule_memory`; None if there is nothing to remember."""
    return _encoder.encode(memories) if memories else None
