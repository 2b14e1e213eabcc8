"""Time of the dense mode: all objects of an image at once, with the default model.

    python -m benchmarks.dense [--quick]

Encoding, the dense decoder and the watershed, from set_image to labels; nothing is in the cache. The parts are timed
apart as well.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from benchmarks import timing
from benchmarks.fixtures import synthetic_cells
from napari_sam import Predictor
from napari_sam.engine.instances import blend, cover
from src_models.instances import WatershedSettings, seeded_watershed


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
        encode, decode, flood = np.median(parts, axis=0) * 1e3
        timing.say(
            f"{side} x {side}: {np.median(whole) * 1e3:.0f} ms, {labels.max()} objects "
            f"(encoding {encode:.0f}, dense decoder and blending {decode:.0f}, watershed {flood:.0f})"
        )


def _parts(predictor: Predictor) -> tuple[float, float, float]:
    """Seconds of encoding, decoding and the watershed."""
    predictor.cache.clear()
    shape = predictor.image.shape
    windows = cover((0, 0, *shape), shape, predictor.img_size, predictor.img_size)
    times = [time.perf_counter()]
    for window in windows:
        predictor.embed(window)
    times.append(time.perf_counter())
    maps = blend(windows, predictor.dense_maps, (0, 0, *shape))
    times.append(time.perf_counter())
    seeded_watershed(maps, WatershedSettings())
    times.append(time.perf_counter())
    encode, decode, flood = np.diff(times)
    return float(encode), float(decode), float(flood)


if __name__ == "__main__":
    main()
