"""Plan of a whole-image run: method, magnification, and how the region is cut into tiles."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_sam.engine.automatic.dense_finder import OVERLAP, DenseFinder
from napari_sam.engine.automatic.dense_maps import dense_side
from napari_sam.engine.automatic.grid_finder import GridFinder
from napari_sam.engine.automatic.grid_settings import GridSettings
from napari_sam.engine.automatic.magnification import estimate_scale
from napari_sam.engine.automatic.object_finder import uses_both_branches
from napari_sam.engine.concepts.candidate_finder import CandidateFinder
from napari_sam.engine.tiling.tiles import plan_tiles
from napari_sam.engine.windows import ladder_side
from napari_sam.errors import PromptError
from napari_sam.jobs.concept_search.concept_finder import ConceptFinder
from napari_sam.jobs.concept_search.concept_spec import ConceptSpec
from src_models.watershed_settings import WatershedSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_sam.engine.automatic.object_finder import ObjectFinder
    from napari_sam.engine.geometry import Box
    from napari_sam.engine.tiling.tiles import Tile, TileGrid
    from napari_sam.io.json_types import JsonObject
    from napari_sam.jobs.job_settings import EverythingSettings
    from napari_sam.predictor import Predictor

_POINTS_PER_SIDE = 32  # of grid mode without settings
_COARSER_STEP = 4  # ratio of one factor to the one before
_DENSE_WINDOWS = 5  # a tile of dense mode is as wide as this number of overlapping windows
_GRID_HALO, _DENSE_HALO = 8, 4  # side of a window over the width of the halo
_MARGIN = 2  # side of a window over the width of what is searched around a region


@dataclass(frozen=True)
class TilePlan:
    """How a region is cut into tiles.

    Attributes
    ----------
    region : Box
        Level-0 pixels.
    grids : list of TileGrid
        One per factor, finest first.
    searched : Box
        What the tiles cover: the region, and with the border "whole" what lies around it.
    """

    region: Box
    grids: list[TileGrid]
    searched: Box

    @property
    def factors(self) -> list[int]:
        """Level-0 pixels per label pixel of each grid."""
        return [grid.factor for grid in self.grids]

    @property
    def tile_count(self) -> int:
        """Number of all tiles."""
        return sum(len(grid.tiles) for grid in self.grids)

    def tiles(self) -> Iterator[tuple[TileGrid, Tile]]:
        """Iterate over all tiles with their grids, finest first."""
        for grid in self.grids:
            for tile in grid.tiles:
                yield grid, tile

    def named(self, name: str) -> tuple[TileGrid, Tile] | None:
        """Return the tile of a name with its grid; None if there is none."""
        for grid in self.grids:
            tile = grid.tiles.named(name)
            if tile is not None:
                return grid, tile
        return None


@dataclass(frozen=True)
class FinderSpec:
    """Description of an `ObjectFinder` in plain values, from which another process builds the same.

    Attributes
    ----------
    method : {"grid", "dense"}
        Kind of the finder.
    side : int
        Level-0 pixels that one window covers at factor 1.
    grid : dict
        Fields of `GridSettings`; empty for those of the model.
    watershed : dict or None
        Fields of `WatershedSettings`; None for those of the model.
    branches : {"auto", "both", "dense"}
        As in `DenseFinder`.
    concept : ConceptSpec or None
        Keep only the objects of a concept.
    min_region_px : int
        As in `DenseFinder`.
    """

    method: str
    side: int
    grid: JsonObject = field(default_factory=dict)
    watershed: JsonObject | None = None
    branches: str = "auto"
    concept: ConceptSpec | None = None
    min_region_px: int = 0

    @classmethod
    def from_json(cls, values: JsonObject) -> FinderSpec:
        """Return the description whose fields, by name, were written as JSON."""
        concept = values.get("concept")
        return cls(**{**values, "concept": None if concept is None else ConceptSpec(**concept)})

    def build(self, predictor: Predictor) -> ObjectFinder:
        """Build the finder."""
        if self.method == "grid":
            return GridFinder(predictor, GridSettings(**self.grid) if self.grid else None, side=self.side)
        settings = None if self.watershed is None else WatershedSettings(**self.watershed)
        if self.concept is not None:
            candidates = CandidateFinder(predictor, settings, side=self.side, branches=self.branches)
            return ConceptFinder(candidates, self.concept)
        return DenseFinder(
            predictor, settings, side=self.side, branches=self.branches, min_region_px=self.min_region_px
        )


def choose_method(method: str, predictor: Predictor) -> str:
    """Return "grid" or "dense"; "auto" is dense if the model has a dense decoder.

    Raises
    ------
    PromptError
        If the method is "dense" and the model has no dense decoder.
    """
    if method == "auto":
        return "dense" if predictor.can_dense else "grid"
    if method == "dense" and not predictor.can_dense:
        raise PromptError(
            f"method is 'dense', but model {predictor.model!r} has no dense decoder",
            parameter="method",
            remedy="use {method=grid} or {method=auto}, or {model=default}",
        )
    return method


def choose_branches(branches: str, method: str, predictor: Predictor) -> str:
    """Return "both" or "dense"; "auto" is both if the model was trained with objects of its dense decoder as prompts.

    Grid mode has no dense decoder to prompt with, and always gets "dense".
    """
    both = method == "dense" and uses_both_branches(branches, predictor.embedder.model.uses_hypotheses)
    return "both" if both else "dense"


def choose_side(settings: EverythingSettings, predictor: Predictor) -> int | None:
    """Choose how many level-0 pixels one window of the network covers.

    `side` gives it, `level` gives one pixel of the network per pixel of that level, and `diameter_px` the size at
    which objects are found best: in grid mode, so that two points fall on an object along each axis. Without any of
    them grid mode uses full resolution.

    Parameters
    ----------
    settings : EverythingSettings
        With `method` "grid" or "dense".
    predictor : Predictor
        Gives the size of the network's input and of the image.

    Returns
    -------
    int or None
        None if dense mode is to estimate it from the image, see `estimate_side`.
    """
    size = predictor.img_size
    if settings.side is not None:
        return int(settings.side)
    if settings.level is not None:
        return int(size << settings.level)
    if settings.diameter_px is None:
        return size if settings.method == "grid" else None
    if settings.method == "grid":
        points = _POINTS_PER_SIDE if settings.grid is None else settings.grid.points_per_side
        return ladder_side(settings.diameter_px * points / 2, size)
    return dense_side(settings.diameter_px, size, predictor.image.shape)


def estimate_side(
    predictor: Predictor,
    region: Box,
    watershed: WatershedSettings | None,
    cancelled: Callable[[], bool] | None,
) -> int:
    """Estimate the side of windows at which the dense decoder is surest, from samples of the region."""
    scale = estimate_scale(predictor, region, settings=watershed, cancelled=cancelled)
    return predictor.img_size if scale is None else scale.side


def split_side(side: int, img_size: int) -> tuple[int, int]:
    """Split the side of a window into a side at factor 1 and a power of two, the finest factor.

    >>> split_side(512, 512), split_side(300, 512), split_side(1448, 512), split_side(4096, 512)
    ((512, 1), (300, 1), (724, 2), (512, 8))
    """
    factor = 1
    while side // factor >= 2 * img_size:
        factor *= 2
    return side // factor, factor


def choose_factors(image_shape: tuple[int, int], side: int, finest: int, coarser: bool) -> tuple[int, ...]:
    """Return the finest factor and, with `coarser`, further ones until a window covers the whole image.

    >>> choose_factors((6000, 9000), 512, 1, coarser=True)
    (1, 4, 16, 64)
    """
    factors = [finest]
    while coarser and side * factors[-1] < max(image_shape):
        factors.append(factors[-1] * _COARSER_STEP)
    return tuple(factors)


def plan_run(
    finder: FinderSpec, region: Box, image_shape: tuple[int, int], factors: tuple[int, ...], border: str = "cut"
) -> TilePlan:
    """Cut a region into tiles at each factor; with the border "whole" also what lies half a window around it."""
    searched = region
    if border == "whole":
        searched = region.grow(finder.side * factors[0] // _MARGIN).clip(image_shape)
    if finder.method == "dense":
        halo = finder.side // _DENSE_HALO
        outer = finder.side * _DENSE_WINDOWS - (_DENSE_WINDOWS - 1) * math.ceil(OVERLAP * finder.side)
    else:
        outer, halo = finder.side, finder.side // _GRID_HALO
    return TilePlan(region, [plan_tiles(searched, image_shape, f, outer, halo) for f in factors], searched)
