"""Linux access control lists, just enough to let one user search a directory."""

import errno
import os
import struct
from pathlib import Path

ATTRIBUTE = "system.posix_acl_access"
HEADER = struct.Struct("<I")  # version 2
ENTRY = struct.Struct("<HHI")  # tag, permissions, id
VERSION = 2
OWNER, USER, GROUP, NAMED_GROUP, MASK, OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
MASKED = (USER, GROUP, NAMED_GROUP)
SEARCH = 0b001
NO_ID = 0xFFFFFFFF

Entry = tuple[int, int, int]


def grant_search(directory: Path, uid: int) -> None:
    """Add `user:uid:--x` to the list of `directory`; permissions of everyone else stay.

    Raises `OSError` where the system or file system has no such lists.
    """
    if not hasattr(os, "setxattr"):
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))
    entries = {(tag, who): permissions for tag, permissions, who in _read(directory)}
    entries[USER, uid] = entries.get((USER, uid), 0) | SEARCH
    os.setxattr(directory, ATTRIBUTE, _packed(entries))


def _read(directory: Path) -> list[Entry]:
    """The effective entries: a list's mask is already applied, and left out."""
    try:
        raw = os.getxattr(directory, ATTRIBUTE)
    except OSError as error:
        if error.errno != errno.ENODATA:
            raise
        mode = directory.stat().st_mode
        return [(OWNER, mode >> 6 & 7, NO_ID), (GROUP, mode >> 3 & 7, NO_ID), (OTHER, mode & 7, NO_ID)]
    entries = list(ENTRY.iter_unpack(raw[HEADER.size :]))
    mask = next((permissions for tag, permissions, _ in entries if tag == MASK), 0b111)
    return [
        (tag, permissions & mask if tag in MASKED else permissions, who)
        for tag, permissions, who in entries
        if tag != MASK
    ]


def _packed(entries: dict[tuple[int, int], int]) -> bytes:
    """The list in the kernel's form: sorted, with a mask that lets every entry take full effect."""
    mask = 0
    for (tag, _), permissions in entries.items():
        mask |= permissions if tag in MASKED else 0
    ordered = sorted((entries | {(MASK, NO_ID): mask}).items())
    return HEADER.pack(VERSION) + b"".join(ENTRY.pack(tag, bits, who) for (tag, who), bits in ordered)
