"""Protocol of an open label store for measurements, reviews and exports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from napari_sam.io.labels.journal.journal import Journal
    from napari_sam.io.labels.label_pyramid import LabelArray


class StoreView(Protocol):
    """Read access to an open label store; `LabelStore` implements it."""

    @property
    def path(self) -> Path:
        """Folder of the store."""
        ...

    @property
    def journal(self) -> Journal:
        """Its objects and changes."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the label image, (..., y, x)."""
        ...

    @property
    def levels(self) -> list[LabelArray]:
        """All scale levels, finest first."""
        ...

    @property
    def scale(self) -> tuple[float, float]:
        """Size of a level-0 pixel along y and x."""
        ...

    def meta(self, key: str) -> Any:
        """Return a fact about the image: "image", "crs", "transform", "axes", "unit"."""
        ...

    def read(self, box: tuple[int, int, int, int], level: int = 0, plane: tuple[int, ...] = ()) -> NDArray[np.uint32]:
        """Return the labels of a box in a level's pixels."""
        ...

    def __len__(self) -> int: ...
