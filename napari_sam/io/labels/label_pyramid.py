"""The pixels of a label store: an NGFF 0.5 label image with scale levels."""

from __future__ import annotations

import itertools
import json
import os
from typing import TYPE_CHECKING, cast

import numpy as np
import tensorstore as ts

from napari_sam.engine.geometry import Box
from napari_sam.errors import LabelsError, StoreError
from napari_sam.io.json_files import read_json_object
from napari_sam.io.kvstore import file_kvstore
from napari_sam.io.labels.level_checks import check_levels, dataset_paths, level_folder
from src_models.atomic import write_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future
    from pathlib import Path
    from types import EllipsisType

    from numpy.typing import DTypeLike, NDArray

    from napari_sam.io.json_types import JsonObject
    from napari_sam.io.labels.label_layout import LabelLayout

    Index = int | slice | EllipsisType | tuple[int | slice | EllipsisType, ...]

CHUNK_PX, SHARD_PX = 256, 2048
_CACHE_BYTES = 16 << 20
_MAX_READ_PX = 1 << 29
_NGFF = "0.5"
_LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}


class LabelArray:
    """One scale level, read from disk when indexed.

    It has what numpy, napari and Dask expect of an array: ``shape``, ``dtype``, ``ndim``, ``chunks``, indexing.

    Parameters
    ----------
    store : tensorstore.TensorStore
        Array of uint32.
    name : str
        Path of its folder.
    """

    def __init__(self, store: ts.TensorStore, name: str) -> None:
        self._store = store
        self.name = name
        self._metadata = os.path.join(name, "zarr.json")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the level."""
        return tuple(int(n) for n in self._store.shape)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of pixels."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def dtype(self) -> np.dtype[np.uint32]:
        """Always uint32."""
        return np.dtype(np.uint32)

    @property
    def chunks(self) -> tuple[int, ...]:
        """Shape of a chunk, the unit of reading."""
        return tuple(int(n or 1) for n in self._store.chunk_layout.read_chunk.shape or self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Index) -> NDArray[np.uint32]:
        """Read a part.

        Raises
        ------
        StoreError
            If the file is damaged, the folder is no longer there, or the part is too large for memory.
        IndexError
            If the part lies outside the level.
        """
        if not os.path.exists(self._metadata):  # or every pixel would read as background
            raise StoreError(
                f"{self.name}: the folder was moved or deleted while it was open",
                remedy="open the store where it is now",
            )
        try:
            part = self._store[index]
            if part.rank and int(np.prod(part.shape, dtype=np.int64)) > _MAX_READ_PX:
                raise StoreError(
                    f"{self.name}: a part of shape {tuple(part.shape)} is too large", remedy="read it piece by piece"
                )
            out: NDArray[np.uint32] = np.asarray(part.read().result())[()]  # a number for a single pixel
        except (ValueError, OSError, RuntimeError) as error:
            if isinstance(error, StoreError):
                raise
            if "OUT_OF_RANGE" in str(error):
                raise IndexError(f"{index} reaches beyond the shape {self.shape} of {self.name}") from None
            raise array_error(self.name, error) from error
        return out

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[np.generic]:
        """Return the whole level; numpy calls this."""
        whole = self[...]
        return whole if dtype is None else whole.astype(dtype)

    def write(self, index: tuple[int | slice, ...], values: NDArray[np.uint32]) -> Future[None]:
        """Begin to write a part; the future's `result` waits for it."""
        return cast("Future[None]", self._store[index].write(values))


def array_error(name: str, error: BaseException) -> StoreError:
    """Return the error for an array that cannot be read or written."""
    text = " ".join(str(error).split())
    return StoreError(
        f"{name}: {text[:300]}",
        remedy="if the disk is full or read-only, correct that and try again; if a file is damaged, draw it again from "
        "the journal with LabelStore.repair(path)",
    )


class LabelPyramid:
    """Scale levels of one label store.

    Level k holds every 2 ** k-th pixel of level 0, so that a change is written to all levels without reading pixels.

    Parameters
    ----------
    folder : Path
        The zarr group.
    writable : bool
        Open for writing.

    Attributes
    ----------
    levels : list of LabelArray
        The levels, finest first.
    folders : list of Path
        Their folders.
    """

    def __init__(self, folder: Path, writable: bool) -> None:
        self.folder, self._writable = folder, writable
        self.folders: list[Path] = []
        self.levels: list[LabelArray] = []
        self.reopen()

    def reopen(self) -> None:
        """Open the files of the levels again after they were replaced.

        Raises
        ------
        StoreError
            If they are missing or damaged.
        """
        folder = self.folder
        context = ts.Context({"cache_pool": {"total_bytes_limit": _CACHE_BYTES}})
        levels: list[LabelArray] = []
        names = dataset_paths(folder)
        check_levels(folder, names)
        self.folders = [level_folder(folder, name) for name in names]
        for path in self.folders:
            spec = {"driver": "zarr3", "kvstore": file_kvstore(path)}
            try:
                opened = ts.open(spec, context=context, open=True, read=True, write=self._writable).result()
            except (ValueError, OSError, RuntimeError) as error:
                raise array_error(str(path), error) from error
            if opened.dtype != ts.uint32:
                raise StoreError(
                    f"{path}: dtype {opened.dtype.name} is not uint32, so this is no label store",
                    remedy="give the folder of a label store, or import the labels into one",
                )
            levels.append(LabelArray(opened, str(path)))
        self.levels = levels

    @classmethod
    def create(cls, folder: Path, layout: LabelLayout, location: Path | None = None) -> None:
        """Write the metadata of the group and its empty levels.

        Parameters
        ----------
        folder : Path
            Folder to write into.
        layout : LabelLayout
            Shape and axes.
        location : Path, optional
            Folder of the store, if `folder` is only made to be moved there.

        Raises
        ------
        StoreError
            If the folder cannot be written.
        """
        place = location or folder
        source = "../../" if _image_of(place) is not None else _relative(layout.uri, place)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for k, level in enumerate(layout.level_shapes):
                spec = {
                    "driver": "zarr3",
                    "kvstore": file_kvstore(folder / str(k)),
                    "metadata": _array_metadata(level, layout.axes),
                }
                ts.open(spec, create=True).result()
            write_json(folder / "zarr.json", layout.group_metadata(source))
        except (OSError, ValueError, RuntimeError) as error:
            raise StoreError(
                f"{folder}: cannot be created: {error}", remedy="choose a folder you may write to"
            ) from error

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of level 0."""
        return self.levels[0].shape

    def checked_plane(self, plane: tuple[int, ...]) -> tuple[int, ...]:
        """Return the index of a plane along the leading axes after checking it.

        Raises
        ------
        LabelsError
            If there is none.
        """
        leading = self.shape[:-2]
        if len(plane) != len(leading) or any(not 0 <= p < n for p, n in zip(plane, leading, strict=False)):
            raise LabelsError(
                f"plane {tuple(plane)} does not fit a store of shape {self.shape}",
                parameter="plane",
                remedy="give one index for each leading axis",
            )
        return tuple(int(p) for p in plane)

    def read(self, plane: tuple[int, ...], box: tuple[int, int, int, int], level: int = 0) -> NDArray[np.uint32]:
        """Return the labels of a box, in the pixels of `level`."""
        y0, x0, y1, x1 = box
        return self.levels[level][(*plane, slice(y0, y1), slice(x0, x1))]

    def draw(
        self, plane: tuple[int, ...], box: tuple[int, int, int, int], labels: NDArray[np.uint32]
    ) -> Callable[[], None]:
        """Begin to write a box of level 0 and its pixels of the coarser levels.

        Returns
        -------
        callable
            Waits until they are on disk.

        Raises
        ------
        StoreError
            If it cannot be written; the returned function raises it likewise.
        """
        y0, x0, _, _ = box
        futures: list[Future[None]] = []

        def wait() -> None:
            try:
                for future in futures:
                    future.result()
            except (ValueError, OSError, RuntimeError) as error:
                raise array_error(str(self.folder), error) from error

        try:
            for k, level in enumerate(self.levels):
                step = 2**k
                top, left = -(-y0 // step), -(-x0 // step)
                part = labels[top * step - y0 :: step, left * step - x0 :: step]
                if part.size:
                    index: tuple[int | slice, ...] = (
                        *plane,
                        slice(top, top + part.shape[0]),
                        slice(left, left + part.shape[1]),
                    )
                    futures.append(level.write(index, part))
        except (ValueError, OSError, RuntimeError) as error:
            raise array_error(str(self.folder), error) from error
        return wait


def _array_metadata(shape: tuple[int, ...], axes: str) -> JsonObject:
    """Return Zarr v3 metadata of a level with shards of 2048 pixels and chunks of 256."""
    leading = [1] * (len(shape) - 2)
    inner = [_LITTLE, {"name": "zstd", "configuration": {"level": 1, "checksum": True}}]
    sharding = {
        "chunk_shape": [*leading, CHUNK_PX, CHUNK_PX],
        "codecs": inner,
        "index_codecs": [_LITTLE, {"name": "crc32c"}],
    }
    return {
        "shape": list(shape),
        "data_type": "uint32",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [*leading, SHARD_PX, SHARD_PX]}},
        "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
        "fill_value": 0,
        "dimension_names": list(axes),
    }


def _image_of(folder: Path) -> Path | None:
    """Return the OME-Zarr image in whose "labels" group a store lies, or None."""
    image = folder.parent.parent
    return image if folder.parent.name == "labels" and (image / "zarr.json").is_file() else None


def levels_of_image(folder: Path) -> int | None:
    """Return how many scale levels the OME-Zarr image has in whose "labels" group a store lies; None without one.

    Raises
    ------
    StoreError
        If the image is an OME-Zarr 0.4: its labels would have to be zarr v2.
    """
    if folder.parent.name == "labels" and any(
        (folder.parent.parent / name).is_file() for name in (".zattrs", ".zgroup")
    ):
        raise StoreError(
            f"{folder}: {folder.parent.parent} is an OME-Zarr 0.4 image, where programs find no labels in zarr v3",
            remedy="write them beside the image, or convert it first: napari-sam transcode IMAGE OUT.ome.zarr",
        )
    image = _image_of(folder)
    if image is None:
        return None
    try:
        multiscales = read_json_object(image / "zarr.json")["attributes"]["ome"]["multiscales"]
        return max(1, len(multiscales[0]["datasets"]))
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None


def _relative(uri: str | None, folder: Path) -> str | None:
    """Return an image's path relative to a store, so that both can be moved together; URLs are not changed."""
    if uri is None or "://" in uri:
        return uri
    try:
        return os.path.relpath(uri, folder)
    except ValueError:  # another drive of Windows
        return uri


def register(folder: Path) -> None:
    """List a store in the "labels" group of the OME-Zarr image that it lies in, as NGFF requires."""
    if _image_of(folder) is None:
        return
    path = folder.parent / "zarr.json"
    group: JsonObject = {"zarr_format": 3, "node_type": "group"}
    if path.is_file():
        group = json.loads(path.read_text())
    ome = group.setdefault("attributes", {}).setdefault("ome", {"version": _NGFF})
    ome["labels"] = sorted({*ome.get("labels", []), folder.name})
    write_json(path, group)


def unregister(folder: Path) -> None:
    """Remove a store from the list that `register` added it to."""
    path = folder.parent / "zarr.json"
    if _image_of(folder) is None or not path.is_file():
        return
    group = json.loads(path.read_text())
    ome = group.get("attributes", {}).get("ome", {})
    if folder.name in ome.get("labels", []):
        ome["labels"].remove(folder.name)
        write_json(path, group)


def blocks(box: tuple[int, int, int, int], side: int = SHARD_PX) -> Sequence[Box]:
    """Cut a box along a grid that falls on shard borders, so that no piece is too large for memory.

    >>> blocks((0, 4000, 10, 5000))
    [(0, 4000, 10, 4096), (0, 4096, 10, 5000)]
    """
    y0, x0, y1, x1 = box
    rows = [y0, *range((y0 // side + 1) * side, y1, side), y1]
    cols = [x0, *range((x0 // side + 1) * side, x1, side), x1]
    pairs = [(a, b) for a in itertools.pairwise(rows) for b in itertools.pairwise(cols)]
    return [Box(top, left, bottom, right) for (top, bottom), (left, right) in pairs]
