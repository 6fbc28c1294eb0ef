"""What measures read, as text: a number, or the reason that it is missing, for each measure of a scorecard."""

import msgspec

from scoring.scorecards.measures import Value

_decoder = msgspec.json.Decoder(list[Value])
_encoder = msgspec.json.Encoder()


def encode_readings(readings: list[Value]) -> str:
    """The text that is stored; equal readings give equal text."""
    return _encoder.encode(readings).decode()


def decode_readings(stored: str) -> list[Value]:
    """What `encode_readings` was given."""
    return _decoder.decode(stored)
