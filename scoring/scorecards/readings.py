"""Readings of measures as text: a number, or the reason why it is missing, for each measure of a scorecard."""

import msgspec

from scoring.scorecards.measures import Value

_decoder = msgspec.json.Decoder(list[Value])
_encoder = msgspec.json.Encoder()


def encode_readings(readings: list[Value]) -> str:
    """The stored text; equal readings give equal text."""
    return _encoder.encode(readings).decode()


def decode_readings(stored: str) -> list[Value]:
    """The readings that `encode_readings` encoded."""
    return _decoder.decode(stored)
