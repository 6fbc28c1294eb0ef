"""Compressed answers, unpacked as far as they are read: what was asked for was plain, but not everybody obeys."""

import zlib

_EITHER = 32 + zlib.MAX_WBITS
"""Windows bits that stand for gzip or zlib, as the data's own first bytes tell."""
_BARE = -zlib.MAX_WBITS
"""What `deflate` means to some, against the standard."""
_FORMATS = {"gzip": (_EITHER,), "x-gzip": (_EITHER,), "deflate": (_EITHER, _BARE)}


def decompress(data: bytes, encoding: str, most: int) -> bytes:
    """Up to `most` bytes of what `data` holds by its `Content-Encoding`; `data` itself if it can't be unpacked.

    No more memory is used than that, whatever the data would come to. Data that was cut gives what it has.
    """
    for bits in _FORMATS.get(encoding.strip().lower(), ()):
        try:
            return zlib.decompressobj(bits).decompress(data, most)
        except zlib.error:
            continue
    return data
