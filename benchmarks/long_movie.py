"""Memory while objects are followed through a long movie on disk, by the memory of SAM 2.

    python -m benchmarks.long_movie [--frames 1000] [--objects 20] [--side 256] [--kill-at 0.5]

The network is SAM 2 of a few layers with random weights, so that the run takes minutes; what is remembered of an object
has the same structure as with the published networks, at a smaller size. Prints the resident memory every fiftieth
frame, and its ratio at the end and after a quarter of the frames. With ``--kill-at`` the run is ended there, continued
from its folder, and compared with a run that was not interrupted.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tifffile
import torch

from benchmarks.labels import resident_mb
from benchmarks.timing import say
from napari_sam import Predictor, open_image
from napari_sam.errors import CancelledError
from src_models.networks.sam2.config import Sam2Config
from src_models.networks.sam2.network import Sam2

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_sam.engine.propagation.plane_mask import PlaneMask
    from napari_sam.engine.propagation.propagation import Propagation

_CACHE_BYTES = 16 << 20
_EVERY = 50


def small_network() -> Sam2:
    """Build a network for 64 x 64 pixels with random weights, whose objects are present."""
    torch.manual_seed(0)
    net = Sam2(Sam2Config(16, 1, (1, 1, 2, 1), (3,), img_size=64), "sam2.1_tiny").eval().requires_grad_(False)
    for value in net.parameters():
        if value.ndim != 1:
            value.normal_(0, max(1, value[0].numel()) ** -0.5)
    net.sam_mask_decoder.pred_obj_score_head.layers[-1].bias += 3.0  # type: ignore[operator]
    return net


def write_movie(path: Path, frames: int, side: int) -> None:
    """Write a movie of a moving texture, one frame at a time."""
    texture = np.random.default_rng(0).integers(0, 256, (side, side), dtype=np.uint8)
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        for t in range(frames):
            file.write(np.roll(texture, (t, 2 * t), (0, 1)), contiguous=False, metadata=None)


class Curve:
    """Resident memory by frame."""

    def __init__(self) -> None:
        self.values: dict[int, float] = {}

    def __call__(self, found: PlaneMask) -> None:
        """Note the memory at every fiftieth frame."""
        if found.plane % _EVERY == 0:
            self.values[found.plane] = resident_mb()

    def growth(self) -> float:
        """Return the ratio of the memory at the end and after a quarter of the frames."""
        frames = sorted(self.values)
        return self.values[frames[-1]] / self.values[frames[len(frames) // 4]]


def follow(
    path: Path,
    objects: int,
    side: int,
    on_plane: Callable[[PlaneMask], None],
    folder: Path | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Sequence[Propagation]:
    """Follow objects from points in the first frame, with a new predictor."""
    predictor = Predictor(small_network(), device="cpu", precision="float32", cache=_CACHE_BYTES)
    predictor.set_image(open_image(f"{path}#axes=tyx"))
    points = np.random.default_rng(1).uniform(8, side - 8, (objects, 2))
    prompts = [{"points": [(0, y, x)]} for y, x in points]
    return predictor.propagate_many(prompts, on_plane=on_plane, resume_folder=folder, cancelled=cancelled)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=1000, help="length of the movie (default: 1000)")
    parser.add_argument("--objects", type=int, default=20, help="objects to follow (default: 20)")
    parser.add_argument("--side", type=int, default=256, help="side of a frame, in pixels (default: 256)")
    parser.add_argument("--kill-at", type=float, help="end a second run after this share of the frames, and continue")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "movie.tif"
        write_movie(path, options.frames, options.side)
        curve, start = Curve(), time.process_time()
        whole = follow(path, options.objects, options.side, curve)
        seconds = time.process_time() - start
        for frame, memory in sorted(curve.values.items()):
            say(f"frame {frame:5d}  {memory:7.0f} MB")
        say(f"memory at the end over that after a quarter: {curve.growth():.3f}")
        say(f"{seconds:.0f} processor seconds; planes of each object: {[len(found) for found in whole]}")
        if options.kill_at is not None:
            say(f"continued with the same result: {_is_continued(path, options, whole)}")


def _is_continued(path: Path, options: argparse.Namespace, whole: Sequence[Propagation]) -> bool:
    """Return whether an interrupted run gives the same masks and scores."""
    folder, seen = path.parent / "progress", [0]

    def on_plane(found: PlaneMask) -> None:
        seen[0] = found.plane

    last = int(options.kill_at * options.frames)
    try:
        follow(path, options.objects, options.side, on_plane, folder, lambda: seen[0] >= last)
    except CancelledError:
        say(f"ended at frame {seen[0]}")
    again = follow(path, options.objects, options.side, on_plane, folder)
    return all(a.records == b.records for a, b in zip(whole, again, strict=True))


if __name__ == "__main__":
    main()
