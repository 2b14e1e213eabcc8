"""Planes of a stack as the engine sees them: the same network and cache, one normalisation for all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from napari_sam.engine.interactive.window_predictor import WindowPredictor

if TYPE_CHECKING:
    from napari_sam.engine.image_source import ImageSource
    from napari_sam.engine.normalisation import Normalisation
    from src_models.runtime import Runner


class PlaneSource(Protocol):
    """A stack whose planes are images; `napari_sam.io.images.image_stack` implements it."""

    @property
    def axis(self) -> str:
        """Name of the axis that is followed, such as "z" or "t"."""
        ...

    @property
    def count(self) -> int:
        """Number of planes along the axis."""
        ...

    @property
    def current(self) -> int:
        """Index of the plane that the stack's image shows."""
        ...

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of a plane, level-0 pixels."""
        ...

    @property
    def spacing(self) -> float | None:
        """Distance of planes over the size of a pixel; None along time, or if it is not known."""
        ...

    @property
    def position(self) -> int:
        """Position of the axis among the leading axes of the image."""
        ...

    def leading(self, plane: int) -> tuple[int, ...]:
        """Return the index of a plane along all leading axes."""
        ...

    def plane(self, index: int) -> ImageSource:
        """Return the image of a plane, with all its scale levels."""
        ...


@dataclass(frozen=True)
class PlaneView:
    """A plane with a predictor that looks at it.

    Attributes
    ----------
    plane : int
        Index along the axis that is followed.
    engine : WindowPredictor
        Looks at this plane.
    spacing : float or None
        Distance of neighbouring planes over the size of a pixel; None along time, or if it is not known.
    """

    plane: int
    engine: WindowPredictor
    spacing: float | None

    @property
    def image(self) -> ImageSource:
        """The image of the plane."""
        return self.engine.embedder.image

    @property
    def normalisation(self) -> Normalisation:
        """Values that become black and white."""
        return self.engine.embedder.normalisation


class PlaneViews:
    """Views of the planes of a stack.

    Parameters
    ----------
    source : PlaneSource
        The stack.
    engine : WindowPredictor
        Gives network, cache and lock, and how masks are tidied.
    normalisation : Normalisation
        Values that become black and white, on all planes.
    """

    def __init__(self, source: PlaneSource, engine: WindowPredictor, normalisation: Normalisation) -> None:
        self.source, self.normalisation = source, normalisation
        self._engine = engine

    @property
    def model(self) -> str:
        """Name of the model."""
        return self._engine.embedder.model.name

    @property
    def weights(self) -> str:
        """Fingerprint of the network's weights."""
        return self._engine.embedder.model.weights

    @property
    def runner(self) -> Runner:
        """The network on its device."""
        return self._engine.embedder.model.runner

    def view(self, plane: int) -> PlaneView:
        """Return the view of a plane.

        Raises
        ------
        ImageError
            If the plane cannot be opened.
        """
        embedder = self._engine.embedder.sharing()
        embedder.set_source(self.source.plane(plane), self.normalisation)
        return PlaneView(plane, self._engine.looking_through(embedder), self.source.spacing)

    def looking_at(self, image: ImageSource, normalisation: Normalisation) -> WindowPredictor:
        """Return a predictor for another image, with the same network; each prompt is answered with one look."""
        embedder = self._engine.embedder.sharing()
        embedder.set_source(image, normalisation)
        return WindowPredictor(embedder, tidy=self._engine.tidy)
