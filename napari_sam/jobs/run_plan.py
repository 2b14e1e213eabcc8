"""One run of everything-mode: what it is made of, and how the parts of it that other processes do are described."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.engine.automatic.dense_finder import OVERLAP, DenseFinder
from napari_sam.engine.automatic.dense_maps import dense_side
from napari_sam.engine.automatic.grid_finder import GridFinder
from napari_sam.engine.automatic.grid_settings import GridSettings
from napari_sam.engine.automatic.magnification import estimate_scale
from napari_sam.engine.normalisation import Normalisation
from napari_sam.engine.tiling.find_tiles import find_tile
from napari_sam.engine.tiling.tiles import plan_tiles
from napari_sam.engine.windows import ladder_side
from napari_sam.errors import ImageError, PromptError, SettingsError
from napari_sam.io.images.open_image import open_image
from napari_sam.io.tile_files import TileFiles
from napari_sam.predictor import Predictor
from src_models.watershed_settings import WatershedSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam.engine.automatic.object_finder import ObjectFinder
    from napari_sam.engine.geometry import Box
    from napari_sam.engine.tiling.tiles import Tile, TileGrid, TileResult

_HUGE_PX, _COARSEST = 1 << 20, 16
METHODS = ("auto", "grid", "dense")
_COARSER = 4  # each coarser factor is so many times the one before
_DENSE_WINDOWS = 5  # a tile of the dense mode is as large as so many windows beside one another
_GRID_HALO, _DENSE_HALO = 8, 4  # a window's side over the halo


@dataclass(frozen=True)
class Plan:
    """How a region is cut.

    Attributes
    ----------
    region : (int, int, int, int)
        (y0, x0, y1, x1), level-0 pixels.
    grids : list of TileGrid
        One per factor, finest first.
    """

    region: Box
    grids: list[TileGrid]

    @property
    def factors(self) -> list[int]:
        """Level-0 pixels per label pixel, of each grid."""
        return [grid.factor for grid in self.grids]

    @property
    def tiles(self) -> list[tuple[TileGrid, Tile]]:
        """All of them, finest first."""
        return [(grid, tile) for grid in self.grids for tile in grid.tiles]


@dataclass(frozen=True)
class FinderSpec:
    """What finds the objects, as plain values: a worker elsewhere builds the same from it.

    Attributes
    ----------
    method : {"grid", "dense"}
        Which.
    side : int
        Level-0 pixels that one window shows at factor 1.
    grid : dict
        Fields of `GridSettings`.
    watershed : dict or None
        Fields of `WatershedSettings`; None for those of the model.
    """

    method: str
    side: int
    grid: dict[str, Any] = field(default_factory=dict)
    watershed: dict[str, Any] | None = None

    def build(self, predictor: Predictor) -> ObjectFinder:
        """The finder itself."""
        if self.method == "grid":
            return GridFinder(predictor, GridSettings(**self.grid) if self.grid else None, side=self.side)
        settings = None if self.watershed is None else WatershedSettings(**self.watershed)
        return DenseFinder(predictor, settings, side=self.side)


def whole_number(name: str, value: Any, least: int) -> int:
    """A setting that must be a whole number.

    Raises
    ------
    SettingsError
        If it is not, or below `least`.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise SettingsError(f"{name} {value!r}: give a whole number from {least} up")
    return int(value)


def check_shareable(predictor: Predictor) -> None:
    """Refuse an image or a model that another process could not open.

    Raises
    ------
    ImageError
        If the image has no file.
    SettingsError
        If the model has no name.
    """
    image: Any = predictor.image
    if getattr(image, "uri", None) is None or not getattr(image, "persistent", False):
        raise ImageError("several workers need an image that each can open: give a file or URL, not an array")
    if not predictor.model_is_named:
        raise SettingsError(
            f"model {predictor.model!r} was given as a network: several workers need its name or checkpoint file"
        )


def choose_method(method: str, predictor: Predictor) -> str:
    """Which way suits the model: dense where it has a dense decoder, else a grid of points.

    Raises
    ------
    SettingsError
        If there is no such method.
    """
    if method == "prompted":
        raise SettingsError("method 'prompted': that is napari_sam.segment_prompts(image, prompts, output=...)")
    if method not in METHODS:
        raise SettingsError(f"method {method!r}: use one of {', '.join(METHODS)}")
    if method == "auto":
        return "dense" if predictor.can_dense else "grid"
    if method == "dense" and not predictor.can_dense:
        raise PromptError(
            f"model {predictor.model!r} has no dense decoder: use method 'grid' or 'auto', or the model 'default'"
        )
    return method


def choose_side(
    method: str, predictor: Predictor, diameter_px: float | None, level: int | None, points_per_side: int
) -> int | None:
    """Level-0 pixels that a window shows.

    A given diameter decides; of the grid mode's points two fall on an object along each axis. A given level means full
    use of the pixels of that level. Without either the grid mode sees the image at full resolution, and None says that
    the dense mode is to look at the image (`estimate_side`).

    Raises
    ------
    SettingsError
        If diameter or level mean nothing, or both are given.
    """
    if diameter_px is not None and not _is_length(diameter_px):
        raise SettingsError(
            f"diameter_px {diameter_px!r}: give a positive number of level-0 pixels, at most {_HUGE_PX}"
        )
    if level is not None and whole_number("level", level, 0) > _COARSEST:
        raise SettingsError(f"level {level}: give a whole number from 0 (full resolution) to {_COARSEST}")
    if level is not None and diameter_px is not None:
        raise SettingsError(f"level {level} and diameter_px {diameter_px}: give one of them")
    size = predictor.img_size
    if level is not None:
        return int(size << level)
    if diameter_px is None:
        return size if method == "grid" else None
    if method == "grid":
        return ladder_side(diameter_px * points_per_side / 2, size)
    return dense_side(diameter_px, size, predictor.image.shape)


def _is_length(value: Any) -> bool:
    number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    return bool(number and 0 < value <= _HUGE_PX)


def estimate_side(
    predictor: Predictor, region: Box, watershed: WatershedSettings | None, cancelled: Callable[[], bool] | None
) -> int:
    """Level-0 pixels that a window shows where the dense decoder is surest of what it finds, by some samples."""
    found = estimate_scale(predictor, region, settings=watershed, cancelled=cancelled)
    return predictor.img_size if found is None else found.side


def split_side(side: int, img_size: int) -> tuple[int, int]:
    """A window's side at factor 1, and the factor at which it shows so many level-0 pixels as asked for.

    >>> split_side(512, 512), split_side(300, 512), split_side(1448, 512), split_side(4096, 512)
    ((512, 1), (300, 1), (724, 2), (512, 8))
    """
    factor = 1
    while side // factor >= 2 * img_size:
        factor *= 2
    return side // factor, factor


def choose_factors(image_shape: tuple[int, int], side: int, finest: int, coarser: bool) -> tuple[int, ...]:
    """The finest factor and, if wanted, coarser ones until a window shows the whole image.

    >>> choose_factors((6000, 9000), 512, 1, coarser=True)
    (1, 4, 16, 64)
    """
    factors = [finest]
    while coarser and side * factors[-1] < max(image_shape):
        factors.append(factors[-1] * _COARSER)
    return tuple(factors)


def plan_run(finder: FinderSpec, region: Box, image_shape: tuple[int, int], factors: tuple[int, ...]) -> Plan:
    """Cut a region into tiles, at each factor."""
    if finder.method == "dense":
        halo = finder.side // _DENSE_HALO
        outer = finder.side * _DENSE_WINDOWS - (_DENSE_WINDOWS - 1) * math.ceil(OVERLAP * finder.side)
    else:
        outer, halo = finder.side, finder.side // _GRID_HALO
    return Plan(region, [plan_tiles(region, image_shape, f, outer, halo) for f in factors])


@dataclass(frozen=True)
class Work:
    """Everything another process needs to find the objects of some tiles of a run."""

    folder: str
    uri: str
    selected: tuple[int, ...]
    plane: tuple[int, ...]
    model: str
    device: str
    precision: str
    normalisation: dict[str, Any]
    finder: FinderSpec
    region: Box
    factors: tuple[int, ...]

    def as_json(self) -> str:
        """As text, which is also its key."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Work:
        """What `as_json` wrote."""
        values = json.loads(text)
        values["finder"] = FinderSpec(**values["finder"])
        for name in ("selected", "plane", "region", "factors"):
            values[name] = tuple(values[name])
        return cls(**values)

    @classmethod
    def of(cls, folder: Path, predictor: Predictor, finder: FinderSpec, plan: Plan) -> Work:
        """Describe a run; raises as `check_shareable`."""
        check_shareable(predictor)
        image: Any = predictor.image
        precision = str(predictor.runner.dtype).removeprefix("torch.")
        return cls(
            str(folder),
            image.uri,
            tuple(image.selected),
            tuple(image.plane),
            predictor.model,
            predictor.device,
            precision,
            asdict(predictor.normalisation),
            finder,
            plan.region,
            tuple(plan.factors),
        )


class Worker:
    """Finds the objects of tiles of one run, in a process of its own."""

    def __init__(self, work: Work) -> None:
        self.work = work
        image = open_image(work.uri, channels=work.selected)
        if work.plane:
            image = image.with_plane(work.plane, work.selected)
        low, high = (tuple(work.normalisation[name]) for name in ("low", "high"))
        predictor = Predictor(work.model, work.device, work.precision, cache=64 << 20)
        predictor.set_source(image, Normalisation(low, high))
        self.finder = work.finder.build(predictor)
        self.files = TileFiles(Path(work.folder))
        plan = plan_run(work.finder, work.region, image.shape, work.factors)
        self._tiles = {tile.name: (grid, tile) for grid, tile in plan.tiles}

    def run(self, name: str) -> TileResult:
        """Find the objects of one tile and keep them."""
        grid, tile = self._tiles[name]
        result = find_tile(self.finder, grid, tile)
        self.files.write(tile, result)
        return result
