"""Checks of zarr metadata, before any library acts on it.

A zarr array names its own codecs, and one of them (pickle) executes what it reads. Therefore only codecs and dtypes
known to be harmless are accepted, and chunks that do not fit into memory are refused.
"""

from __future__ import annotations

import base64
import math
import os
import re
import struct
from itertools import islice
from typing import TYPE_CHECKING, Any

from napari_sam.errors import ImageError

if TYPE_CHECKING:
    from pathlib import Path

    from napari_sam.io.json_types import JsonObject

_V2_DTYPE = re.compile(r"[<>|]?(b1|[iu][1248]|f[248]|c8|c16)")
_V3_DTYPE = re.compile(r"bool|u?int(8|16|32|64)|float(16|32|64)|complex(64|128)")
_V2_CODECS = re.compile(
    r"blosc|zlib|gzip|bz2|zstd|lz4|lzma|delta|shuffle|fixedscaleoffset|astype|bitround|packbits|quantize"
    r"|crc32c?|adler32|fletcher32|jenkins_lookup3|imagecodecs_\w+"
)
_V3_CODECS = re.compile(r"bytes|endian|transpose|gzip|zstd|blosc|crc32c|sharding_indexed")
CHUNK_BYTES = 1 << 30
_LISTED = 256
_CHUNK_NAMES = {
    "/": re.compile(r"\d+"),
    ".": re.compile(r"\d+(\.\d+)+"),
    "c": re.compile(r"c"),
    "c.": re.compile(r"c(\.\d+)+"),
}
_INDEX_ENTRIES = 1 << 24
_BASE64_FLOAT = re.compile(r"[A-Za-z0-9+/]{11}=")
_NESTING = 4


def check_array(name: str, meta: JsonObject) -> None:
    """Refuse an array whose metadata is unsafe, unknown or too large.

    Parameters
    ----------
    name : str
        Path or URL, for messages.
    meta : dict
        Content of ``zarr.json`` or ``.zarray``.

    Raises
    ------
    ImageError
        With the codec, dtype or size, and the remedy.
    """
    try:
        if meta.get("zarr_format") == 2:
            _check_v2(name, meta)
        elif meta.get("zarr_format") == 3:
            _check_v3(name, meta)
        else:
            raise ImageError(f"{name}: zarr_format {meta.get('zarr_format')!r}", remedy="write it as zarr 2 or 3")
    except (LookupError, TypeError, AttributeError, ArithmeticError) as error:
        raise ImageError(
            f"{name}: broken zarr metadata, {error!r} is missing or wrong", remedy="write it again"
        ) from error


def undeclared_separator(folder: Path, meta: JsonObject) -> str | None:
    """Return the separator in the names of an array's chunks, if its metadata of zarr 2 does not declare it.

    Parameters
    ----------
    folder : Path
        Folder of the array.
    meta : dict
        Its metadata, as `check_array` accepts it.

    Returns
    -------
    str or None
        "/" if chunks lie in numbered folders and no separator is declared, None otherwise.

    Raises
    ------
    ImageError
        If chunks exist, but only under names that do not follow from what the metadata declares: they would be read as
        empty.
    """
    if len(meta["shape"]) < 2 or math.prod(meta["shape"]) == 0:
        return None
    found = _chunk_names(folder)
    if not found:
        return None
    if meta["zarr_format"] == 3:
        encoding = meta.get("chunk_key_encoding")
        encoding = encoding if isinstance(encoding, dict) else {}
        configuration = encoding.get("configuration")
        separator = configuration.get("separator") if isinstance(configuration, dict) else None
        named_c = encoding.get("name", "default") == "default"
        expected = "c" if named_c and separator != "." else f"c{separator}" if named_c else separator or "."
    else:
        expected = meta.get("dimension_separator", ".")
        if expected == "." and "dimension_separator" not in meta and found == {"/"}:
            return "/"
    if expected not in found:
        raise ImageError(
            f"{folder}: its chunks are not named as its metadata declares ({expected!r} instead of "
            f"{', '.join(map(repr, sorted(found)))}), and would be read as empty",
            remedy="correct the separator or the chunk key encoding in its metadata",
        )
    return None


def declared_fill_value(node: JsonObject) -> float | None:
    """Return the value that stands for "no data" in an array, as xarray writes and reads it; None without one.

    It is the attribute ``_FillValue`` or ``missing_value``: a number, its name such as "NaN", or in zarr 3 the eight
    bytes of a float in Base64. In zarr 2 xarray writes the array's own fill value instead; 0 is what other programs
    write there without a thought.

    Parameters
    ----------
    node : dict
        Metadata and attributes of the array.
    """
    attributes = node["attributes"]
    value = attributes.get("_FillValue", attributes.get("missing_value"))
    if value is None and node.get("zarr_format") == 2 and "_ARRAY_DIMENSIONS" in attributes:
        value = node.get("fill_value") or None
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, str) and _BASE64_FLOAT.fullmatch(value):
        return float(struct.unpack("<d", base64.b64decode(value))[0])
    try:
        return float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else None
    except (ValueError, OverflowError):
        return None


def _chunk_names(folder: Path) -> set[str]:
    """Return the kinds of names of chunks in a folder, looking at a limited number of its entries.

    "/" and "." stand for chunks of zarr 2 by their separator, "c" and "c." for those of zarr 3.
    """
    found: set[str] = set()
    with os.scandir(folder) as entries:
        for entry in islice(entries, _LISTED):
            kind = next((kind for kind, name in _CHUNK_NAMES.items() if name.fullmatch(entry.name)), None)
            if kind is not None and entry.is_dir() == (kind in ("/", "c")):
                found.add(kind)
    return found


def _check_v2(name: str, meta: JsonObject) -> None:
    dtype = meta["dtype"]
    if not isinstance(dtype, str) or not _V2_DTYPE.fullmatch(dtype):
        _refuse_dtype(name, dtype)
    codecs = [*(meta.get("filters") or []), *([meta["compressor"]] if meta.get("compressor") else [])]
    for codec in codecs:
        _check_codec(name, codec["id"], _V2_CODECS)
    itemsize = int(re.findall(r"\d+", dtype)[-1])
    _check_sizes(name, meta["shape"], meta["chunks"], itemsize)


def _check_v3(name: str, meta: JsonObject) -> None:
    dtype = meta["data_type"]
    if not isinstance(dtype, str) or not _V3_DTYPE.fullmatch(dtype):
        _refuse_dtype(name, dtype)
    if meta["chunk_grid"]["name"] != "regular":
        raise ImageError(f"{name}: chunk grid {meta['chunk_grid']['name']!r}", remedy="write it with regular chunks")
    bits = re.findall(r"\d+", dtype)
    itemsize = int(bits[0]) // 8 if bits else 1
    chunks = meta["chunk_grid"]["configuration"]["chunk_shape"]
    inner = _check_v3_codecs(name, meta["codecs"], chunks, _NESTING)
    _check_sizes(name, meta["shape"], inner, itemsize)
    _check_lengths(name, meta["shape"], chunks)


def _check_v3_codecs(name: str, codecs: list[Any], chunks: list[int], depth: int) -> list[int]:
    """Check codecs, including those within shards; returns the shape of the innermost chunks."""
    if depth == 0:
        raise ImageError(f"{name}: shards are nested too deep", remedy="write it with chunks in shards")
    for codec in codecs:
        kind = codec if isinstance(codec, str) else codec["name"]
        if kind.startswith("numcodecs."):
            _check_codec(name, kind.removeprefix("numcodecs."), _V2_CODECS)
        else:
            _check_codec(name, kind, _V3_CODECS)
        if kind == "sharding_indexed":
            settings = codec["configuration"]
            inner = settings["chunk_shape"]
            _check_lengths(name, chunks, inner)
            entries = math.prod(-(-a // b) for a, b in zip(chunks, inner, strict=True))
            if entries > _INDEX_ENTRIES:
                raise ImageError(f"{name}: {entries} chunks in one shard", remedy=f"write at most {_INDEX_ENTRIES}")
            _check_v3_codecs(name, settings.get("index_codecs") or [], [], depth - 1)
            return _check_v3_codecs(name, settings["codecs"], inner, depth - 1)
    return chunks


def _check_codec(name: str, codec: Any, known: re.Pattern[str]) -> None:
    if not isinstance(codec, str) or not known.fullmatch(codec):
        reason = "would execute code from the file" if codec == "pickle" else "is not known to be safe"
        raise ImageError(f"{name}: codec {codec!r} {reason}", remedy="write it again with zstd or blosc")


def _refuse_dtype(name: str, dtype: Any) -> None:
    kind = "object dtype" if dtype in ("|O", "O", "object") else "dtype"
    raise ImageError(f"{name}: {kind} {dtype!r} is not a picture", remedy="convert it to numbers")


def _check_lengths(name: str, shape: list[int], chunks: list[int]) -> None:
    description = f"{name}: shape {shape} in chunks of {chunks}"
    integers = all(isinstance(n, int) and not isinstance(n, bool) for n in [*shape, *chunks])
    if not integers or len(shape) != len(chunks) or min([0, *shape]) < 0 or min([1, *chunks]) < 1:
        raise ImageError(f"{description} is not valid", remedy="write it again")
    if any(n >= 1 << 62 for n in [*shape, *chunks]):
        raise ImageError(f"{description} is beyond 64 bits", remedy="write it again")


def _check_sizes(name: str, shape: list[int], chunks: list[int], itemsize: int) -> None:
    """Limit the size of a chunk, which one read must decode; the shape alone costs nothing."""
    _check_lengths(name, shape, chunks)
    size = math.prod(chunks) * itemsize
    if size > CHUNK_BYTES:
        raise ImageError(
            f"{name}: chunks of {chunks} take {size / 2**30:.3g} GiB each", remedy="write it in smaller chunks"
        )
