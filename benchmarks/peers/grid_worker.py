"""One implementation of grid mode in its own process, for benchmarks/everything_grid.py; see worker.py.

It runs in .peers-venv for the peers and in .venv for ours. Each line of standard input is a request in JSON, each line
of standard output its answer: seconds, and bytes of memory at most above what was held before.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[Any]

FILTERS = ("pred_iou_thresh", "stability_score_thresh", "box_nms_thresh")


class Grid(Protocol):
    """What is timed."""

    def grid(self, image: Path, settings: dict[str, Any]) -> list[tuple[Array, Any]]:
        """All masks of an image seen whole: each as a crop and its (y0, x0)."""

    def tiled(self, image: Path, settings: dict[str, Any], folder: Path) -> int:
        """All objects of an image seen in tiles: their number."""

    def embed(self, image: Path, folder: Path) -> None:
        """Embed a whole image tile by tile, into a folder."""


class SegmentAnything:
    """segment-anything's ``SamAutomaticMaskGenerator``; masks as run lengths, the least memory it can do with."""

    def __init__(self, checkpoint: str, _: str) -> None:
        from mobile_sam import sam_model_registry

        self.net = sam_model_registry["vit_t"](checkpoint)

    def grid(self, image: Path, settings: dict[str, Any]) -> list[tuple[Array, Any]]:
        """All masks."""
        from segment_anything import SamAutomaticMaskGenerator
        from segment_anything.utils.amg import rle_to_mask

        generator = SamAutomaticMaskGenerator(self.net, **settings, output_mode="uncompressed_rle")
        found = generator.generate(np.load(image))
        return [((lambda one=one: rle_to_mask(one["segmentation"])), (0, 0)) for one in found]  # unpacked untimed


class MicroSam:
    """micro-sam's ``TiledAutomaticMaskGenerator`` and ``precompute_image_embeddings``; windows of 1024 pixels."""

    tiles: ClassVar[dict[str, Any]] = {"tile_shape": (768, 768), "halo": (128, 128)}

    def __init__(self, checkpoint: str, _: str) -> None:
        from micro_sam import instance_segmentation, util

        self.util, self.segmentation = util, instance_segmentation
        self.predictor = util.get_sam_model("vit_t", device="cpu", checkpoint_path=checkpoint)

    def tiled(self, image: Path, settings: dict[str, Any], folder: Path) -> int:
        """All objects, as run lengths: as labels it would hold a mask of the whole image for each."""
        asked = {k: v for k, v in settings.items() if k not in FILTERS}
        generator = self.segmentation.TiledAutomaticMaskGenerator(self.predictor, **asked)
        pixels = np.load(image)
        embeddings = self.util.precompute_image_embeddings(
            self.predictor, pixels, save_path=str(folder / "e.zarr"), ndim=2, verbose=False, **self.tiles
        )
        generator.initialize(pixels, image_embeddings=embeddings, **self.tiles)
        return len(generator.generate(**{k: settings[k] for k in FILTERS if k in settings}, output_mode="rle"))

    def embed(self, image: Path, folder: Path) -> None:
        """Embed in tiles."""
        self.util.precompute_image_embeddings(
            self.predictor, np.load(image), save_path=str(folder / "e.zarr"), ndim=2, verbose=False, **self.tiles
        )


class Ours:
    """`MaskGenerator`, `segment_everything` and `precompute`."""

    def __init__(self, checkpoint: str, precision: str) -> None:
        from napari_sam import Predictor

        self.checkpoint, self.precision = checkpoint, precision
        self.predictor = Predictor(checkpoint, device="cpu", precision=precision)

    def grid(self, image: Path, settings: dict[str, Any]) -> list[tuple[Array, Any]]:
        """All masks."""
        from napari_sam.engine.automatic.grid_settings import GridSettings
        from napari_sam.engine.automatic.mask_generator import MaskGenerator

        found = MaskGenerator(self.predictor, GridSettings(**settings)).generate(np.load(image))
        return [((lambda one=one: one.mask), one.bbox[:2]) for one in found]

    def tiled(self, image: Path, settings: dict[str, Any], folder: Path) -> int:
        """All objects, as a label store."""
        from napari_sam import segment_everything
        from napari_sam.engine.automatic.grid_settings import GridSettings

        report = segment_everything(
            np.load(image),
            self.predictor,
            folder / "labels.ome.zarr",
            method="grid",
            grid=GridSettings(**settings),
            coarser=False,
        )
        return int(report.objects)

    def embed(self, image: Path, folder: Path) -> None:
        """Embed all windows that clicks at full resolution ask for."""
        from napari_sam import Predictor
        from napari_sam.engine.embeddings.precompute import precompute

        predictor = Predictor(self.predictor.embedder.model, cache=folder / "cache")
        predictor.set_image(str(image.with_suffix(".tif")))
        precompute(predictor, coarser=False)


BUILDERS: dict[str, Callable[[str, str], Any]] = {
    "segment-anything": SegmentAnything,
    "micro-sam": MicroSam,
    "ours": Ours,
    "ours float32": lambda checkpoint, _: Ours(checkpoint, "float32"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=BUILDERS)
    parser.add_argument("checkpoint")
    options = parser.parse_args()
    with contextlib.redirect_stdout(sys.stderr):  # what packages print is no answer
        engine = BUILDERS[options.name](options.checkpoint, "auto")
        _say({"torch": torch.__version__, "threads": torch.get_num_threads()})
        for line in sys.stdin:
            _say(_answer(engine, json.loads(line)))


def _answer(engine: Any, request: dict[str, Any]) -> dict[str, Any]:
    """Do what is asked and measure it; masks go packed to a file, if one is named."""
    image, folder = Path(request["image"]), Path(request["folder"])
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = _memory("VmRSS")
    start, worked = time.perf_counter(), time.process_time()
    if request["do"] == "grid":
        found = engine.grid(image, request["settings"])
        count = len(found)
    elif request["do"] == "tiled":
        count = engine.tiled(image, request["settings"], folder)
    else:
        count = 0
        engine.embed(image, folder)
    answer = {"seconds": time.perf_counter() - start, "processor seconds": time.process_time() - worked}
    answer |= {"peak": _memory("VmHWM") - before, "count": count}
    if request["do"] == "grid" and request.get("output"):
        shape = np.load(image, mmap_mode="r").shape[:2]
        np.savez(request["output"], bits=np.array([_packed(one, shape) for one in found]), shape=shape)
    return answer


def _packed(one: tuple[Callable[[], Array], tuple[int, int]], shape: tuple[int, int]) -> Array:
    mask, (y, x) = one[0](), one[1]
    full = np.zeros(shape, bool)
    full[y : y + mask.shape[0], x : x + mask.shape[1]] = mask
    return np.packbits(full)


def _memory(field: str) -> int:
    """Bytes of this process: VmRSS now, VmHWM at most."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) << 10
    return 0


def _say(answer: dict[str, Any]) -> None:
    sys.__stdout__.write(json.dumps(answer) + "\n")  # type: ignore[union-attr]
    sys.__stdout__.flush()  # type: ignore[union-attr]


if __name__ == "__main__":
    main()
