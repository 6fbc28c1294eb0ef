"""What every target is built from: one alert."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Message:
    """An alert as it was stored: `data` is the JSON text of the object that webhooks send as `data`."""

    type: str
    timestamp: datetime
    data: str


@dataclass(frozen=True, slots=True)
class Body:
    """What goes over the wire, and is signed byte for byte."""

    content: bytes
    content_type: str = "application/json"
