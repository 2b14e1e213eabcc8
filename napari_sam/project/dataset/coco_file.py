"""The objects of many images as one COCO instances file, with how each came."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_sam.io.exports.writers.write_coco import compress, counts_of
from napari_sam.io.pixel_runs import runs_by_label
from src_models.atomic import write_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_sam.io.json_types import JsonObject

_UNNAMED = "object"  # category of objects without a class


class CocoFile:
    """Collects images and annotations, and writes them at the end.

    Parameters
    ----------
    description : str
        What the data are, for the file's "info".
    """

    def __init__(self, description: str) -> None:
        self._info: JsonObject = {"description": description, "contributor": "napari-sam-xl"}
        self._images: list[JsonObject] = []
        self._annotations: list[JsonObject] = []
        self._categories: dict[str, int] = {}

    def add(
        self, file_name: str, labels: NDArray[np.int32], sources: Mapping[int, JsonObject], about: JsonObject
    ) -> None:
        """Add an image with its objects.

        Parameters
        ----------
        file_name : str
            The image, below the folder of the file.
        labels : ndarray of int32
            (h, w), 0 is background.
        sources : mapping of int to dict
            How each object came, by its label; "category" is its class.
        about : dict
            Further entries of the image.
        """
        height, width = labels.shape
        number = len(self._images) + 1
        self._images.append({"id": number, "file_name": file_name, "width": width, "height": height, **about})
        ids, first, runs = runs_by_label(np.ascontiguousarray(labels.T, np.uint32), (0, 0))  # down the columns
        for i, label in enumerate(ids.tolist()):
            own = type(runs)(*(values[first[i] : first[i + 1]] for values in runs))
            x0, x1 = int(own.line.min()), int(own.line.max()) + 1
            y0, y1 = int(own.start.min()), int(own.stop.max())
            source = dict(sources.get(label, {}))
            name = str(source.pop("category", None) or _UNNAMED)
            self._annotations.append(
                {
                    "id": len(self._annotations) + 1,
                    "image_id": number,
                    "category_id": self._categories.setdefault(name, len(self._categories) + 1),
                    "iscrowd": 0,
                    "area": own.area_px,
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "segmentation": {"size": [height, width], "counts": compress(counts_of(own, (height, width)))},
                    "label": label,
                    **source,
                }
            )

    def write(self, path: Path) -> None:
        """Write the file."""
        categories = [{"id": number, "name": name} for name, number in self._categories.items()]
        content = {"info": self._info, "images": self._images, "categories": categories}
        write_json(path, {**content, "annotations": self._annotations})
