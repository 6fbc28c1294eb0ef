"""Logs on a broker's disk, damaged by hand: a broker that was stopped in order doesn't read them again."""

import struct
from collections.abc import Callable
from pathlib import Path

from aiokafka.record.util import calc_crc32c

_LENGTH, _OVERHEAD = slice(8, 12), 12
_CRC, _CHECKED = slice(17, 21), 21
_ATTRIBUTES = 22
_CODEC = 0x07
HEADER_BYTES = 61
"""The size of a batch's head, before its records."""

Damage = Callable[[bytearray], None]


def change_batch(folder: Path, number: int, damage: Damage) -> None:
    """Change the batch of a number (-1 is the last) in the only segment of a partition's folder."""
    log = folder / f"{0:020}.log"
    data = bytearray(log.read_bytes())
    start, end = _batches(data)[number]
    batch = data[start:end]
    damage(batch)
    data[start:end] = batch
    with log.open("r+b") as file:
        file.write(data)


def _batches(data: bytearray) -> list[tuple[int, int]]:
    found, start = [], 0
    while size := int.from_bytes(data[start:][_LENGTH]):
        found.append((start, start + _OVERHEAD + size))
        start += _OVERHEAD + size
    return found


def flip_a_bit(batch: bytearray) -> None:
    """Flip a bit as a bad disk does: the checksum reveals it."""
    batch[-40] ^= 1


def sealed(damage: Damage) -> Damage:
    """The same damage with a valid checksum: as if the batch had been written so."""

    def seal(batch: bytearray) -> None:
        damage(batch)
        batch[_CRC] = struct.pack(">I", calc_crc32c(bytes(batch[_CHECKED:])))

    return seal


def use_no_known_codec(batch: bytearray) -> None:
    """Name a codec that doesn't exist yet."""
    batch[_ATTRIBUTES] |= _CODEC


def spoil_records(batch: bytearray) -> None:
    """Put other bytes in the place of the records."""
    batch[HEADER_BYTES:] = b"\xaa" * (len(batch) - HEADER_BYTES)


def rename_headers(batch: bytearray) -> None:
    """Give headers called `name` a name that isn't UTF-8; Kafka accepts it."""
    assert b"name" in batch
    batch[:] = batch.replace(b"name", b"n\xffme")
