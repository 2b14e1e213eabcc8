"""ImageJ ROIs as prompts and objects: outlines give boxes and pixels, points give points."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.engine.interactive.prompts import MaskPrompt
from napari_sam.errors import PromptError
from napari_sam.io.prompts.prompt_rows import BOX, POINT, PromptRows
from src_models.even_odd import even_odd_mask

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from roifile import ImagejRoi

    from napari_sam.io.json_types import JsonObject

    Rings = list[NDArray[np.float64]]

_WITHOUT_AREA = ("LINE", "POLYLINE", "FREELINE", "ANGLE", "NOROI")


def rows_of_rois(path: Path) -> PromptRows:
    """Return the ROIs of a .roi file or of a .zip of ImageJ's ROI manager.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    PromptError
        If it is damaged, or holds no ROI.
    """
    import pandas as pd  # noqa: PLC0415 - slow to import

    rows: list[JsonObject] = []
    outlines: dict[int, Rings] = {}
    for i, roi in enumerate(_read(path)):
        properties = {"object": i, "plane": _plane(roi)}
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
    frame = pd.DataFrame(rows, columns=[*BOX, *POINT, "object", "plane", "problem"])
    if frame["plane"].isna().all():
        frame = frame.drop(columns="plane")
    numbers = np.array([row["object"] for row in rows], np.int64)

    def mask(i: int) -> MaskPrompt | None:
        return _mask(outlines[i]) if i in outlines else None

    return PromptRows(frame, str(path), "ROI", numbers, mask if outlines else None)


def _read(path: Path) -> list[ImagejRoi]:
    """Return the ROIs of a file."""
    from roifile import roiread  # noqa: PLC0415 - slow to import

    try:
        rois = roiread(path)
    except Exception as error:  # roifile raises what its parsing meets: struct.error, IndexError, BadZipFile ...
        raise PromptError(f"{path}: not a file of ImageJ ROIs, or damaged ({error})", remedy="save it again") from error
    listed = rois if isinstance(rois, list) else [rois]
    if not listed:
        raise PromptError(f"{path}: holds no ROI", remedy="give a .roi file, or a .zip of the ROI manager")
    return listed


def _plane(roi: ImagejRoi) -> dict[str, int] | None:
    """Return the plane of a ROI by axis, from 0; None if it belongs to every plane."""
    named = {axis: int(getattr(roi, f"{axis}_position")) - 1 for axis in "zt"}
    if all(index < 0 for index in named.values()):
        return {"z": int(roi.position) - 1} if roi.position > 0 else None
    return {axis: max(index, 0) for axis, index in named.items()}


def _mask(rings: Rings) -> MaskPrompt | None:
    """Return the pixels whose centres lie inside the rings, by the even-odd rule."""
    corners = np.concatenate(rings)
    y0, x0 = (max(0, int(v)) for v in np.floor(corners.min(0)))
    y1, x1 = (int(v) for v in np.ceil(corners.max(0)))
    if y1 <= y0 or x1 <= x0:
        return None
    mask = np.zeros((y1 - y0, x1 - x0), bool)
    for ring in rings:
        points: NDArray[Any] = ring - (y0, x0)
        mask ^= even_odd_mask(points[:, ::-1], mask.shape)
    return MaskPrompt(mask, (y0, x0, y1, x1)) if mask.any() else None
