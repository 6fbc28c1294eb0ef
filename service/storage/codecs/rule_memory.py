"""What rules remember of an account, to its column and back. Pure."""

from collections.abc import Mapping

import msgspec

from scoring.rules.rules import RuleMemory

_decoder = msgspec.msgpack.Decoder(dict[str, RuleMemory])
_encoder = msgspec.msgpack.Encoder()


def decode_memories(stored: bytes | None) -> dict[str, RuleMemory]:
    """What `encode_memories` kept: by rule id."""
    return _decoder.decode(stored) if stored else {}


def encode_memories(memories: Mapping[str, RuleMemory]) -> bytes | None:
    """The bytes kept in the column `rule_memory`; None where there is nothing to remember."""
    return _encoder.encode(memories) if memories else None
