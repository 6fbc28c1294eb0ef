"""Decompresses the start of answers: plain ones were requested, but not every receiver obeys."""

import zlib

_EITHER = 32 + zlib.MAX_WBITS
"""The window bits that accept gzip or zlib, told apart by the first bytes of the data."""
_BARE = -zlib.MAX_WBITS
"""The meaning of `deflate` to some servers, against the standard."""
_FORMATS = {"gzip": (_EITHER,), "x-gzip": (_EITHER,), "deflate": (_EITHER, _BARE)}


def decompress(data: bytes, encoding: str, most: int) -> bytes:
    """Up to `most` bytes of the content of `data` by its `Content-Encoding`; `data` itself if it can't be decompressed.

    Uses no more memory than that, whatever the full size. Truncated data gives as much as it holds.
    """
    for bits in _FORMATS.get(encoding.strip().lower(), ()):
        try:
            return zlib.decompressobj(bits).decompress(data, most)
        except zlib.error:
            continue
    return data
