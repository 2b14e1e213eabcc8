"""Whether the bytes up to the end of a file hold a whole strip, for files that declare more."""

from __future__ import annotations

_PLAIN, _LZW, _JPEG, _PACKBITS = 1, 5, 7, 32773
_SELF_DELIMITED = (8, 32946, 34925, 50000)  # deflate, LZMA and zstd notice themselves if bytes are missing
_JPEG_END = b"\xff\xd9"


def is_complete(stored: bytes, compression: int, decoded_bytes: int) -> bool:
    """Return whether a strip is whole.

    Parameters
    ----------
    stored : bytes
        The bytes of the strip that the file holds.
    compression : int
        TIFF's number of the compression.
    decoded_bytes : int
        Size of the rows of the strip.
    """
    import imagecodecs  # noqa: PLC0415 - slow to import

    if compression in _SELF_DELIMITED:
        return True
    if compression == _PLAIN:
        return len(stored) >= decoded_bytes
    if compression == _JPEG:
        return stored.rstrip(b"\0").endswith(_JPEG_END)
    if compression in (_LZW, _PACKBITS):
        decode = imagecodecs.lzw_decode if compression == _LZW else imagecodecs.packbits_decode
        try:
            return len(decode(stored)) >= decoded_bytes
        except (RuntimeError, ValueError):
            return False
    return False
