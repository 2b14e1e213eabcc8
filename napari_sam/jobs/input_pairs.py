"""Inputs of a job over many images: files, patterns and folders, with the output of each in one folder."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_sam.errors import SettingsError, StoreError
from napari_sam.io.image_inputs import expand_inputs

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_SUFFIX = re.compile(r"(\.ome)?\.[A-Za-z0-9]{1,8}$")


@dataclass(frozen=True)
class InputPair:
    """An input and its output.

    Attributes
    ----------
    source : str
        Path or URL.
    out : Path
        What to write.
    """

    source: str
    out: Path


def pair_inputs(patterns: Iterable[str], folder: Path, suffix: str, *, stores: bool = False) -> list[InputPair]:
    """Expand the inputs, and name the output of each after it.

    Parameters
    ----------
    patterns : iterable of str
        Files, URLs, patterns such as ``*.tif``, and folders, which stand for the images (or label stores) in them.
    folder : Path
        Folder of the outputs; made if it is missing.
    suffix : str
        Suffix of the outputs, such as ".ome.zarr".
    stores : bool
        The inputs are label stores.

    Raises
    ------
    ImageError
        If a pattern or a folder holds no input.
    SettingsError
        If two inputs have one name.
    StoreError
        If the folder cannot be made.
    """
    pairs: dict[str, InputPair] = {}
    for source in [path for pattern in patterns for path in expand_inputs(pattern, stores=stores)]:
        name = _SUFFIX.sub("", re.split(r"[?#]", source.rstrip("/"))[0].replace("\\", "/").rsplit("/", 1)[-1])
        pair = InputPair(source, folder / f"{name}{suffix}")
        known = pairs.setdefault(pair.out.name.casefold(), pair)
        if known.source != source:
            raise SettingsError(
                f"{known.source} and {source} would both be written to {pair.out}",
                parameter="out_dir",
                remedy="rename one, or process them in two runs with two folders",
            )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"{folder}: the folder cannot be made ({error.strerror})", remedy="choose another folder"
        ) from error
    return list(pairs.values())
