"""Time of the dense mode: all objects of an image at once, with the default model.

    python -m benchmarks.dense [--quick]

From set_image to labels, by default: choosing the magnification, encoding, the dense decoder and the watershed; nothing
is in the cache. The parts are timed apart as well.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from benchmarks import timing
from benchmarks.fixtures import synthetic_cells
from napari_sam import Predictor
from napari_sam.engine.automatic.dense_finder import DenseFinder
from napari_sam.engine.automatic.magnification import estimate_scale


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args(arguments)
    timing.say(timing.describe(timing.machine()))
    predictor = Predictor("default", device="cpu")
    for side in (512,) if options.quick else (512, 1024, 2048):
        image, _ = synthetic_cells(side)
        whole, parts = [], []
        for _ in range(1 if options.quick else 5):
            predictor.cache.clear()
            predictor.set_image(image)
            started = time.perf_counter()
            labels = predictor.instances()
            whole.append(time.perf_counter() - started)
            parts.append(_parts(predictor))
        choose, read, network, flood = np.median(parts, axis=0) * 1e3
        timing.say(
            f"{side} x {side}: {np.median(whole) * 1e3:.0f} ms, {labels.max()} objects "
            f"(scale {choose:.0f}, reading {read:.0f}, networks {network:.0f}, watershed and scores {flood:.0f})"
        )


def _parts(predictor: Predictor) -> tuple[float, ...]:
    """Seconds of choosing the magnification, reading, the networks, and the watershed."""
    predictor.cache.clear()
    region = (0, 0, *predictor.image.shape)
    times = [time.perf_counter()]
    scale = estimate_scale(predictor)
    finder = DenseFinder(predictor, side=None if scale is None else scale.side)
    times.append(time.perf_counter())
    predictor.cache.clear()
    read = finder.read(region, 1)
    times.append(time.perf_counter())
    computed = finder.compute(region, 1, read)
    times.append(time.perf_counter())
    finder.finish(region, 1, computed)
    times.append(time.perf_counter())
    return tuple(float(t) for t in np.diff(times))


if __name__ == "__main__":
    main()
