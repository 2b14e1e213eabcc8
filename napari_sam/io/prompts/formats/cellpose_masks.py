"""Label images in Cellpose's ``_seg.npy`` files, read without running the code that a pickle can hold."""

from __future__ import annotations

import io
import pickle
import tokenize
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.errors import PromptError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_KEY = "masks"
# What numpy and pickle raise for damaged files.
_DAMAGED = (
    *(OSError, ValueError, EOFError, SyntaxError, tokenize.TokenError, pickle.UnpicklingError),
    *(AttributeError, TypeError, LookupError, ArithmeticError, MemoryError, RecursionError),
)
_ALLOWED = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    *((f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
    *((f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")),
    ("_codecs", "encode"),
    ("collections", "OrderedDict"),
}


class _ArraysOnly(pickle.Unpickler):
    """Unpickle numbers, text, containers and arrays, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it holds {module}.{name}, which is not read from files of others")
        return super().find_class(module, name)


def read_cellpose_masks(path: Path) -> NDArray[np.integer]:
    """Return the label image of a ``_seg.npy`` file.

    Parameters
    ----------
    path : Path
        The file, as Cellpose's window saves it.

    Raises
    ------
    PromptError
        If it is damaged, holds something other than arrays, or no label image.
    """
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            read_header = (
                np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            )
            shape, _, dtype = read_header(file)
            if dtype.hasobject:
                content = _ArraysOnly(io.BytesIO(file.read())).load()
                content = content.item() if isinstance(content, np.ndarray) and content.shape == () else content
                masks = content.get(_KEY) if isinstance(content, dict) else None
            else:
                file.seek(0)
                masks = np.lib.format.read_array(file, allow_pickle=False)
    except _DAMAGED as error:
        raise PromptError(f"{path}: cannot be read ({error})", remedy="save it again from Cellpose") from error
    if not isinstance(masks, np.ndarray) or masks.dtype.kind not in "iu":
        raise PromptError(f"{path}: has no label image {_KEY!r} (shape {shape})", remedy="save it again from Cellpose")
    return masks
