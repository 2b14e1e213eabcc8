"""A 100 000 x 100 000 image against a 2 000 x 2 000 one: what a click, an opened image and 100 objects cost.

    python -m benchmarks.large [--quick] [--side PX]

Both images are OME-Zarr pyramids on disk with the same nuclei in them; the large one is empty elsewhere, which costs
the reader nothing less where one clicks: its chunks there are as full. Clicks take turns between the two.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

from benchmarks import timing
from napari_sam import LabelStore, Predictor, open_image, samples
from napari_sam.errors import LabelsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_sam.io.images.open_image import Image

_SMALL = 2048


def pyramid(path: Path, side: int, tile: NDArray[np.uint8], corners: list[tuple[int, int]]) -> Path:
    """An OME-Zarr image of `side`, with `tile` at each of the corners (multiples of 256 px)."""
    levels = []
    n = side
    while True:
        levels.append(n)
        if n <= 1024:
            break
        n = -(-n // 2)
    for k, n in enumerate(levels):
        array = zarr.create_array(path / str(k), shape=(n, n), chunks=(512, 512), dtype=np.uint8, fill_value=0)
        part = tile[:: 2**k, :: 2**k]
        for y, x in corners:
            array[(y >> k) : (y >> k) + part.shape[0], (x >> k) : (x >> k) + part.shape[1]] = part
    datasets = [
        {"path": str(k), "coordinateTransformations": [{"type": "scale", "scale": [2**k, 2**k]}]}
        for k in range(len(levels))
    ]
    axes = [{"name": a, "type": "space"} for a in "yx"]
    ome = {"version": "0.5", "multiscales": [{"name": "image", "axes": axes, "datasets": datasets}]}
    group = {"zarr_format": 3, "node_type": "group", "attributes": {"ome": ome}}
    (path / "zarr.json").write_text(json.dumps(group))
    return path


def scene(folder: Path, side: int, places: int) -> tuple[Path, list[tuple[int, int]]]:
    """An image with the nuclei sample at `places` corners, and those corners."""
    picture = np.asarray(samples.nuclei())
    picture = picture if picture.ndim == 2 else picture[..., 0]
    tile = np.tile(picture, (2048 // picture.shape[0] + 1, 2048 // picture.shape[1] + 1))[:2048, :2048]
    rng = np.random.default_rng(0)
    corners = (
        [(0, 0)]
        if side == _SMALL
        else [(int(y) * 2048, int(x) * 2048) for y, x in rng.integers(0, side // 2048, (places, 2))]
    )
    return pyramid(folder / str(side), side, tile, corners), corners


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="show that it works; times mean little")
    parser.add_argument("--side", type=int, default=100_000)
    options = parser.parse_args(arguments)
    found = timing.machine()
    timing.say(timing.describe(found))
    clicks = 6 if options.quick else 40
    with tempfile.TemporaryDirectory() as folder:
        small, _ = scene(Path(folder), _SMALL, 1)
        large, corners = scene(Path(folder), options.side, 25)
        _clicks(small, large, corners, clicks)
        _opening(small, large)
        _objects(Path(folder), large, corners, 20 if options.quick else 100)


def _truth() -> list[tuple[int, int]]:
    """Middles of the sample's nuclei."""
    labels = np.asarray(samples.nuclei_labels())
    spots = []
    for label in np.unique(labels)[1:]:
        y, x = np.nonzero(labels == label)
        spots.append((int(y.mean()), int(x.mean())))
    return spots


def _clicks(small: Path, large: Path, corners: list[tuple[int, int]], count: int) -> None:
    spots = _truth()
    rng = np.random.default_rng(1)
    images = {"2k": counted(open_image(small)), "large": counted(open_image(large))}
    first: dict[str, list[float]] = {"2k": [], "large": []}
    further: dict[str, list[float]] = {"2k": [], "large": []}
    pixels: dict[str, list[int]] = {"2k": [], "large": []}
    predictors = {name: Predictor("default", device="cpu") for name in images}
    for name, predictor in predictors.items():
        predictor.set_source(images[name])
        predictor.predict(points=[(300, 300)])
    for i in range(count):
        for name, predictor in predictors.items():
            y, x = corners[i % len(corners)] if name == "large" else (0, 0)
            dy, dx = spots[int(rng.integers(len(spots)))]
            predictor.cache.clear()
            images[name].pixels_read = 0
            for times in (first[name], further[name]):
                start = time.perf_counter()
                predictor.predict(points=[(y + dy, x + dx)])
                times.append(time.perf_counter() - start)
            pixels[name].append(images[name].pixels_read)
    for title, times in (("first click", first), ("further click", further)):
        a, b = (1e3 * float(np.median(times[name])) for name in ("large", "2k"))
        timing.say(f"{title}: large {a:.1f} ms, 2k {b:.1f} ms, ratio {a / b:.2f}")
    window = 512**2
    timing.say(
        f"pixels read for one click, in windows: {np.median(pixels['large']) / window:.2f} "
        f"(most {max(pixels['large']) / window:.2f})"
    )


def counted(image: Image) -> Any:
    """An image that counts the pixels it reads, in `pixels_read`."""

    class Counted:
        pixels_read = 0

        def __getattr__(self, name: str) -> Any:
            return getattr(image, name)

        def read(self, level: int, y0: int, x0: int, y1: int, x1: int, step: int = 1) -> NDArray[np.generic]:
            self.pixels_read += (y1 - y0) * (x1 - x0)
            return image.read(level, y0, x0, y1, x1, step)

    return Counted()


def _opening(small: Path, large: Path) -> None:
    predictor = Predictor("default", device="cpu")
    found = {}
    for name, path in (("2k", small), ("large", large)):
        found[name] = _median(functools.partial(predictor.set_image, path), 5)
    timing.say(f"set_image: large {found['large'] * 1e3:.0f} ms, 2k {found['2k'] * 1e3:.0f} ms")


def _objects(folder: Path, large: Path, corners: list[tuple[int, int]], count: int) -> None:
    """Click and commit all over the large image; resident memory before and after."""
    predictor = Predictor("default", device="cpu", cache=64 << 20)
    warm = np.zeros((600, 600), np.uint8)
    warm[250:350, 250:350] = 200
    predictor.set_image(warm)
    labels = LabelStore.create(folder / "warm.zarr", shape=(600, 600))
    labels.commit(predictor.predict(points=[(300, 300)]))
    labels.close()
    before = resident_mb()
    predictor.set_image(large)
    labels = LabelStore.create(folder / "labels.ome.zarr", like=predictor.image)
    spots = _truth()
    seconds = []
    for i in range(count):
        y, x = corners[i % len(corners)]
        dy, dx = spots[i // len(corners) % len(spots)]
        prediction = predictor.predict(points=[(y + dy, x + dx)])
        start = time.perf_counter()
        try:
            labels.commit(prediction, overlap="replace")
        except LabelsError as error:
            timing.say(f"object {i}: {error}")
        seconds.append(time.perf_counter() - start)
    added = resident_mb() - before
    labels.close()
    timing.say(
        f"{count} objects all over: memory +{added:.0f} MB; commit median {1e3 * float(np.median(seconds)):.1f} ms, "
        f"p95 {1e3 * float(np.percentile(seconds, 95)):.1f} ms"
    )


def _median(action: Callable[[], Any], times: int) -> float:
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))


def resident_mb() -> float:
    """Resident memory of this process, MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main()
