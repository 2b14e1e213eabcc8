"""ImageJ ROIs as prompts and objects: outlines give boxes and pixels, points give points."""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.errors import PromptError
from napari_sam.io.class_styles import joined_styles, style_of
from napari_sam.io.prompts.formats.polygon_masks import even_odd_rings
from napari_sam.io.prompts.prompt_rows import BOX, POINT, PromptRows

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from roifile import ImagejRoi

    from napari_sam.engine.interactive.prompts import MaskPrompt
    from napari_sam.io.class_styles import ClassStyle
    from napari_sam.io.images.lazy_image import Image
    from napari_sam.io.json_types import JsonObject

    Rings = list[NDArray[np.float64]]

_MOST_BYTES = 1 << 30  # roifile reads all ROIs of a file at once
# What roifile and zipfile raise for damaged files.
_DAMAGED = (
    *(OSError, ValueError, LookupError, TypeError, ArithmeticError, MemoryError, RuntimeError),
    *(EOFError, struct.error, zipfile.BadZipFile, zlib.error),
)
_NAME_ON_PLANE = re.compile(r"(\d{7,})(?:-\d{4})+")  # of an object on several planes, in our own exports
_WITHOUT_AREA = ("LINE", "POLYLINE", "FREELINE", "ANGLE", "NOROI")


def rows_of_rois(path: Path, image: Image) -> PromptRows:
    """Return the ROIs of a .roi file or of a .zip of ImageJ's ROI manager.

    Parameters
    ----------
    path : Path
        The file.
    image : Image
        The image to segment, to which outlines are cut.

    Raises
    ------
    PromptError
        If it is damaged, or holds no ROI.
    """
    import pandas as pd  # noqa: PLC0415 - slow to import

    rows: list[JsonObject] = []
    styles: list[ClassStyle] = []
    outlines: dict[int, Rings] = {}
    for i, roi in enumerate(_read(path)):
        style = _class_of(roi)
        track = _NAME_ON_PLANE.fullmatch(str(roi.name or ""))
        properties: JsonObject = {"object": i, "plane": _plane(roi), "track": track and track[1]}
        properties["category"] = None if style is None else style.name
        styles += [] if style is None else [style]
        rings = [np.asarray(ring, np.float64)[:, ::-1] for ring in roi.coordinates(multi=True) if len(ring)]
        if roi.roitype.name == "POINT" and rings:
            rows += [{**properties, "y": y - 0.5, "x": x - 0.5} for y, x in rings[0].tolist()]
        elif roi.roitype.name in _WITHOUT_AREA or not rings:
            rows.append({**properties, "problem": f"a ROI of type {roi.roitype.name} has no area"})
        else:
            outlines[len(rows)] = rings
            corners = np.concatenate(rings)
            box = zip(BOX, [*corners.min(0).tolist(), *corners.max(0).tolist()], strict=True)
            rows.append({**properties, **dict(box)})
    frame = pd.DataFrame(rows, columns=[*BOX, *POINT, "object", "plane", "track", "category", "problem"])
    if frame["plane"].isna().all():
        frame = frame.drop(columns="plane")
    numbers = np.array([row["object"] for row in rows], np.int64)

    def mask(i: int) -> MaskPrompt | None:
        return even_odd_rings(outlines[i], image.shape) if i in outlines else None

    return PromptRows(frame, str(path), "ROI", numbers, mask if outlines else None, joined_styles(styles))


def _class_of(roi: ImagejRoi) -> ClassStyle | None:
    """Return the class that a ROI's properties name, with the colour of its outline."""
    entries = (line.partition(":") for line in str(roi.props or "").splitlines())
    names = [value for key, _, value in entries if key.strip() == "category"]
    alpha, *rgb = roi.stroke_color or b"\0"
    return style_of(names[0], rgb if alpha else None) if names else None


def _read(path: Path) -> list[ImagejRoi]:
    """Return the ROIs of a file."""
    from roifile import roiread  # noqa: PLC0415 - slow to import

    try:
        size = _unpacked_bytes(path)
        rois = roiread(path) if size <= _MOST_BYTES else []
    except _DAMAGED as error:
        raise PromptError(f"{path}: not a file of ImageJ ROIs, or damaged ({error})", remedy="save it again") from error
    if size > _MOST_BYTES:
        raise PromptError(f"{path}: holds {size} bytes of ROIs", remedy="save them in several files")
    listed = rois if isinstance(rois, list) else [rois]
    if not listed:
        raise PromptError(f"{path}: holds no ROI", remedy="give a .roi file, or a .zip of the ROI manager")
    return listed


def _unpacked_bytes(path: Path) -> int:
    if not zipfile.is_zipfile(path):
        return path.stat().st_size
    with zipfile.ZipFile(path) as file:
        return sum(entry.file_size for entry in file.infolist())


def _plane(roi: ImagejRoi) -> dict[str, int] | None:
    """Return the plane of a ROI by axis, from 0; None if it belongs to every plane."""
    named = {axis: int(getattr(roi, f"{axis}_position")) - 1 for axis in "zt"}
    if all(index < 0 for index in named.values()):
        return {"z": int(roi.position) - 1} if roi.position > 0 else None
    return {axis: max(index, 0) for axis, index in named.items()}
