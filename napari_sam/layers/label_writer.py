"""The contract between the dock and the layers that accepted objects are written to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from napari.layers import Labels
    from numpy.typing import NDArray

    from napari_sam.engine.geometry import Box
    from napari_sam.engine.interactive.prediction import Prediction
    from napari_sam.engine.propagation.propagation import Propagation


class LabelWriter(Protocol):
    """Destination of accepted objects: a label store, or a labels layer of the user."""

    @property
    def layers(self) -> list[Labels]:
        """Layers that show the objects, bottom first."""
        ...

    @property
    def layer(self) -> Labels:
        """Layer that shows the objects now, on which the brush draws."""
        ...

    @property
    def plane_shape(self) -> tuple[int, int]:
        """Height and width of a plane."""
        ...

    def labels_in(self, box: Box, plane: tuple[int, ...]) -> NDArray[np.generic]:
        """Return the ids in a box (y0, x0, y1, x1) of level-0 pixels, inside a plane."""
        ...

    @property
    def can_undo(self) -> bool:
        """Whether there is a change to undo."""
        ...

    @property
    def can_redo(self) -> bool:
        """Whether there is a change to redo."""
        ...

    def commit(
        self, prediction: Prediction, plane: tuple[int, ...], overlap: str = "keep", candidate: int | None = None
    ) -> int:
        """Write an object and return its id.

        Parameters
        ----------
        prediction : Prediction
            Masks and scores of the object.
        plane : tuple of int
            Index along the leading axes.
        overlap : {"keep", "replace"}
            Whether existing objects keep the pixels that they share with the new one, or give them to it.
        candidate : int, optional
            Index of the mask; the best mask by default.

        Raises
        ------
        LabelsError
            If no pixel would be written.
        StoreError
            If the destination cannot be written.
        """
        ...

    def commit_planes(
        self, followed: Propagation, overlap: str = "keep", *, parent: int | None = None, label: int | None = None
    ) -> int:
        """Write an object that lies on several planes, as one change, and return its id.

        Parameters
        ----------
        followed : Propagation
            Mask of each plane.
        overlap : {"keep", "replace"}
            As in `commit`, like the errors.
        parent : int, optional
            Object that it descends from; a labels layer cannot hold it.
        label : int, optional
            Saved object that gets these planes in place of its own; a labels layer has no such objects.
        """
        ...

    def undo(self) -> bool:
        """Undo the last change; return False if there is none."""
        ...

    def redo(self) -> bool:
        """Repeat the change that was undone last; return False if there is none."""
        ...
