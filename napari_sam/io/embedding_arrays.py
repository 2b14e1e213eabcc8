"""Zarr arrays of embeddings: their metadata, their groups, and reading and writing one window."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import tensorstore
import torch

from napari_sam.io.json_files import read_json_object
from napari_sam.io.kvstore import file_kvstore
from src_models.atomic import write_bytes, write_json

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from napari_sam.engine.embeddings.embedding_cache import EmbeddingKey
    from napari_sam.io.json_types import JsonObject

_FORMAT = 1
_CHECKSUM_BYTES = 4  # at the end of a chunk's file
_CODECS: tuple[JsonObject, ...] = (
    {"name": "bytes", "configuration": {"endian": "little"}},
    {"name": "blosc"},
    {"name": "crc32c"},
)
_LARGEST_BYTES = 1 << 28  # of a chunk: a damaged array that declares more is not allocated
# Types on disk. Bits of bfloat16 are stored as int16, which every reader of zarr supports.
_DISK_TYPES = {torch.float32: "float16", torch.float16: "float16", torch.bfloat16: "int16", torch.int32: "int32"}
_TENSOR_TYPES = {"float16": torch.float16, "int32": torch.int32, "int16": torch.bfloat16}

STORABLE = frozenset(_DISK_TYPES)


@dataclass(frozen=True)
class EmbeddingArray:
    """An opened array (Y, X, ...) whose element [y, x] is the embedding of the window with the corner (y, x).

    Attributes
    ----------
    path : Path
        Its folder.
    handle : tensorstore.TensorStore
        The array.
    dtype : torch.dtype
        Type of the elements.
    """

    path: Path
    handle: Any
    dtype: torch.dtype

    def read(self, key: EmbeddingKey) -> Tensor:
        """Read the element of a key.

        Raises
        ------
        ValueError
            If the file is that of another key.
        """
        y0, x0 = key.window.bbox[:2]
        note = note_path(self.path / chunk_name(key))
        named = note.read_text("ascii").strip() if note.is_file() else None  # version 0.1 wrote none
        if named is not None and named != _entry_name(self.path, key):
            raise ValueError("the file is that of another window, image or model")
        value = torch.from_numpy(self.handle[y0, x0].read().result())
        value = value.view(torch.bfloat16) if self.dtype is torch.bfloat16 else value
        return value[None] if key.what == "embedding" else value

    def write(self, key: EmbeddingKey, value: Tensor) -> None:
        """Write the element of a key, and wait until it is on disk."""
        y0, x0 = key.window.bbox[:2]
        value = _element(key, value)
        bits = value.view(torch.int16) if value.dtype is torch.bfloat16 else value
        note = note_path(self.path / chunk_name(key))
        note.unlink(missing_ok=True)
        self.handle[y0, x0].write(bits.numpy()).result()
        try:
            write_note(self.path, key)
        except FileNotFoundError:
            if self.path.is_dir():  # another process has deleted the element already
                return
            raise


def array_path(folder: Path, key: EmbeddingKey) -> Path:
    """Return the folder of the array that holds a key."""
    height, width = key.window.shape
    name = f"{height}x{width}" + ("" if key.what == "embedding" else f"-{key.what}")
    digest = hashlib.sha256(json.dumps(_attributes(key), sort_keys=True).encode()).hexdigest()
    return folder / digest[:32] / name


def chunk_name(key: EmbeddingKey) -> str:
    """Return the name of the file that holds a key, in the folder of its array."""
    y0, x0 = key.window.bbox[:2]
    return f"c.{y0}.{x0}" + (".0.0.0" if key.what == "embedding" else ".0.0")


def note_path(chunk: Path) -> Path:
    """Return the file that says which key a chunk belongs to."""
    return chunk.with_name(f"k{chunk.name[1:]}")


def write_note(path: Path, key: EmbeddingKey) -> None:
    """Write the file that says that the chunk of a key, in an array's folder, belongs to it."""
    write_bytes(note_path(path / chunk_name(key)), _entry_name(path, key).encode(), durable=False)


def _entry_name(path: Path, key: EmbeddingKey) -> str:
    """Return a hash of a key and of the file that holds it, by the checksum at the end of the file."""
    chunk = path / chunk_name(key)
    with chunk.open("rb") as file:
        file.seek(max(0, chunk.stat().st_size - _CHECKSUM_BYTES))
        checksum = file.read(_CHECKSUM_BYTES)
    named = [_attributes(key), key.what, [int(n) for n in key.window.bbox], checksum.hex()]
    return hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()


def create_array(path: Path, key: EmbeddingKey, value: Tensor) -> EmbeddingArray:
    """Open the array of a key for writing, created if there is none for such values.

    Parameters
    ----------
    path : Path
        Folder of the array.
    key : EmbeddingKey
        A key that it is to hold.
    value : Tensor
        Its value.

    Raises
    ------
    OSError, ValueError
        If it cannot be written.
    """
    _create_group(path.parent, key)
    metadata = _metadata(key, value)
    existing = _existing_metadata(path)
    if existing is not None:
        if all(existing.get(name) == expected for name, expected in metadata.items()):
            return open_array(path, key)
        (path / "zarr.json").unlink(missing_ok=True)  # damaged, or of another type
    spec = {**_spec(path), "metadata": metadata, "create": True, "open": True}
    return EmbeddingArray(path, tensorstore.open(spec).result(), value.dtype)


def open_array(path: Path, key: EmbeddingKey) -> EmbeddingArray:
    """Open an existing array for reading and writing, after checking what it declares.

    Raises
    ------
    OSError, ValueError, KeyError, TypeError
        If it is damaged, has another layout, or belongs to other embeddings.
    """
    if read_json_object(path.parent / "zarr.json")["attributes"] != {"napari_sam": _attributes(key)}:
        raise ValueError("the group's attributes are those of other embeddings")
    metadata = read_json_object(path / "zarr.json")
    shape, chunk = metadata["shape"], metadata["chunk_grid"]["configuration"]["chunk_shape"]
    dtype = _TENSOR_TYPES[metadata["data_type"]]
    rank = 5 if key.what == "embedding" else 4
    if len(shape) != rank or shape != [*key.image_shape, *chunk[2:]] or chunk[:2] != [1, 1]:
        raise ValueError(f"shape {shape} in chunks {chunk} is not one chunk per window")
    if math.prod(chunk) * dtype.itemsize > _LARGEST_BYTES:
        raise ValueError(f"a chunk of shape {chunk} is more than {_LARGEST_BYTES} bytes")
    if [codec["name"] for codec in metadata["codecs"]] != [codec["name"] for codec in _CODECS]:
        raise ValueError("codecs of another program")
    return EmbeddingArray(path, tensorstore.open({**_spec(path), "open": True}).result(), dtype)


def _element(key: EmbeddingKey, value: Tensor) -> Tensor:
    """Return the stored part of a value: an embedding without its batch axis."""
    return (value[0] if key.what == "embedding" else value).contiguous()


def _attributes(key: EmbeddingKey) -> JsonObject:
    """Return the attributes that distinguish this key's group from others."""
    return {
        "format": _FORMAT,
        "version": key.version,
        "image": key.image,
        "shape": [int(n) for n in key.image_shape],
        "weights": key.weights,
        "precision": key.precision,
        "low": [float(v) for v in key.normalisation.low],
        "high": [float(v) for v in key.normalisation.high],
        "img_size": int(key.window.img_size),
    }


def _create_group(path: Path, key: EmbeddingKey) -> None:
    """Write the group's metadata, unless it exists and is right."""
    expected = {"zarr_format": 3, "node_type": "group", "attributes": {"napari_sam": _attributes(key)}}
    with contextlib.suppress(OSError, ValueError):
        if read_json_object(path / "zarr.json") == expected:
            return
    path.mkdir(exist_ok=True)
    write_json(path / "zarr.json", expected)


def _metadata(key: EmbeddingKey, value: Tensor) -> JsonObject:
    """Return the content of an array's zarr.json."""
    element = _element(key, value)
    blosc = {"cname": "lz4", "clevel": 5, "shuffle": "bitshuffle", "typesize": element.element_size(), "blocksize": 0}
    codecs = [dict(codec) for codec in _CODECS]
    codecs[1]["configuration"] = blosc
    return {
        "shape": [*key.image_shape, *element.shape],
        "data_type": _DISK_TYPES[value.dtype],
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1, 1, *element.shape]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},
        "fill_value": 0,
        "attributes": {"napari_sam": {"bits": str(value.dtype).removeprefix("torch.")}},
        "codecs": codecs,
    }


def _existing_metadata(path: Path) -> JsonObject | None:
    """Return the metadata of an array; empty if it is damaged, None if there is no array."""
    try:
        return read_json_object(path / "zarr.json")
    except (FileNotFoundError, NotADirectoryError):
        return None  # another process may be about to create it
    except ValueError:
        return {}


def _spec(path: Path) -> JsonObject:
    return {
        "driver": "zarr3",
        "kvstore": file_kvstore(path),
        "store_data_equal_to_fill_value": True,
        "fill_missing_data_reads": False,  # an entry that another process has just dropped is missing, not zero
        "recheck_cached_data": True,
    }
