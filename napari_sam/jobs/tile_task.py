"""Find the objects of a tile in another process: what it needs to know, and the function it runs."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sam.engine.geometry import Box
from napari_sam.engine.normalisation import Normalisation
from napari_sam.engine.tiling.find_tiles import TILE_ERRORS, failure_reason, find_tile, is_tile_error
from napari_sam.errors import ImageError, SettingsError
from napari_sam.io.images.open_image import open_image
from napari_sam.io.tile_files import TileFiles
from napari_sam.jobs.tile_plan import FinderSpec, plan_run
from napari_sam.predictor import Predictor

if TYPE_CHECKING:
    from napari_sam.engine.tiling.tiles import TileResult
    from napari_sam.io.images.lazy_image import Image
    from napari_sam.io.json_types import JsonObject
    from napari_sam.jobs.tile_plan import TilePlan

_CACHE_BYTES = 64 << 20


@dataclass(frozen=True)
class TileJob:
    """Everything that another process needs to find the objects of any tile of a run, in plain values."""

    folder: str
    uri: str
    selected: tuple[int, ...]
    plane: tuple[int, ...]
    model: str
    device: str
    precision: str
    normalisation: JsonObject
    finder: FinderSpec
    region: Box
    factors: tuple[int, ...]

    @classmethod
    def of(cls, folder: Path, predictor: Predictor, finder: FinderSpec, plan: TilePlan) -> TileJob:
        """Describe a run.

        Raises
        ------
        ImageError, SettingsError
            As `check_shareable`.
        """
        image = check_shareable(predictor)
        return cls(
            str(folder),
            image.uri or "",
            tuple(image.selected),
            tuple(image.plane),
            predictor.model,
            predictor.device,
            str(predictor.runner.dtype).removeprefix("torch."),
            asdict(predictor.normalisation),
            finder,
            plan.searched,
            tuple(plan.factors),
        )

    def as_json(self) -> str:
        """Return the job as text."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> TileJob:
        """Read what `as_json` returned."""
        values = json.loads(text)
        values["finder"] = FinderSpec.from_json(values["finder"])
        values["region"] = Box(*values["region"])
        for name in ("selected", "plane", "factors"):
            values[name] = tuple(values[name])
        return cls(**values)


class TileWorker:
    """Finds the objects of the tiles of one run, in a process of its own."""

    def __init__(self, job: TileJob) -> None:
        image = open_image(job.uri, channels=job.selected)
        if job.plane:
            image = image.with_plane(job.plane, job.selected)
        low, high = (tuple(job.normalisation[name]) for name in ("low", "high"))
        predictor = Predictor(job.model, job.device, job.precision, cache=_CACHE_BYTES)
        predictor.set_source(image, Normalisation(low, high))
        self._finder = job.finder.build(predictor)
        self._files = TileFiles(Path(job.folder))
        self._plan = plan_run(job.finder, job.region, image.shape, job.factors)

    def find(self, name: str) -> TileResult:
        """Find the objects of one tile and store them."""
        found = self._plan.named(name)
        if found is None:
            raise ValueError(f"no tile is named {name!r}")
        grid, tile = found
        result = find_tile(self._finder, grid, tile)
        self._files.write(tile, result)
        return result


_workers: dict[str, TileWorker] = {}
_workers_lock = threading.Lock()


def find_tile_by_name(job: str, name: str) -> str | None:
    """Find the objects of one tile in this process; a `ProcessPool` or a `DaskPool` calls it.

    Parameters
    ----------
    job : str
        `TileJob.as_json`; the process keeps the worker of the last job.
    name : str
        Name of the tile.

    Returns
    -------
    str or None
        Why the tile failed; None if it is stored.
    """
    with _workers_lock:
        if job not in _workers:
            worker = TileWorker(TileJob.from_json(job))
            _workers.clear()  # one network at a time
            _workers[job] = worker
        worker = _workers[job]
    try:
        worker.find(name)
    except TILE_ERRORS as error:
        if not is_tile_error(error):
            raise
        return failure_reason(error)
    return None


def check_shareable(predictor: Predictor) -> Image:
    """Refuse an image or a model that another process cannot open.

    Returns
    -------
    Image
        The predictor's image.

    Raises
    ------
    ImageError
        If the image has no file.
    SettingsError
        If the model has no name.
    """
    image: Any = predictor.image
    if getattr(image, "uri", None) is None or not getattr(image, "persistent", False):
        raise ImageError(
            "image is an array, which other processes cannot open",
            parameter="image",
            remedy="give a file or URL, or leave {workers} and {client} out",
        )
    if not predictor.model_is_named:
        raise SettingsError(
            f"model {predictor.model!r} was given as a network, which other processes cannot load",
            parameter="model",
            remedy="give its name or checkpoint file, or leave {workers} and {client} out",
        )
    shareable: Image = image
    return shareable
