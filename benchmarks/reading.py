"""How many windows a second each kind of file feeds the model.

    python -m benchmarks.reading [--quick] [--side PX] [--threads N]

Windows of 1024 x 1024 pixels at places that no chunk is aligned with, of one 16-bit image in several formats, page
cache warm. The variants take turns, so that their ratios hold on a busy machine, too.
"""

from __future__ import annotations

import argparse
import functools
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile
import zarr

from benchmarks import timing
from napari_sam import open_image
from napari_sam.io.images.lazy_image import Image
from napari_sam.io.images.pyramid_files import create_level
from src_models.lru import LRU

if TYPE_CHECKING:
    from numpy.typing import NDArray

WINDOW = 1024
TARGET = 100  # windows a second, of zstd zarr, with two cores


def main(arguments: list[str] | None = None) -> None:
    options = _parse(arguments)
    side, rounds, count = (4096, 2, 6) if options.quick else (options.side, 5, 40)
    found = timing.machine()
    timing.say(timing.describe(found))
    with tempfile.TemporaryDirectory() as folder:
        images = _written(Path(folder), _picture(side))
        corners = np.random.default_rng(0).integers(0, side - WINDOW, (rounds + 1, count, 2)).tolist()
        speeds = _speeds(images, corners, options.threads)
    lines = [["format", "windows/s", "to zarr-python"]]
    for name, values in speeds.items():
        ratio = np.median(np.array(values) / np.array(speeds["zarr-python, zstd"]))
        lines.append([name, f"{np.median(values):.0f}", f"{ratio:.2f}"])
    timing.say("\n" + timing.align(lines))
    best = float(np.median(speeds["tensorstore, zstd"]))
    timing.say(f"target {TARGET} windows/s of zstd zarr: {best:.0f}, {'met' if best >= TARGET else 'not met'}")
    facts = {"side": side, "threads": options.threads, "windows per second": speeds}
    timing.say(f"wrote {timing.write_json('reading', [], found, partial=options.quick, **facts)}")


def _picture(side: int) -> NDArray[np.uint16]:
    """A smooth image with noise, which compresses about as micrographs do."""
    rng = np.random.default_rng(0)
    yy, xx = np.meshgrid(*(np.arange(side, dtype=np.float32),) * 2, indexing="ij")
    smooth = 3000 + 1500 * np.sin(yy / 97) * np.cos(xx / 71)
    return (smooth + rng.normal(0, 40, (side, side))).astype(np.uint16)


def _written(folder: Path, picture: NDArray[np.uint16]) -> dict[str, Image]:
    """The picture in every format, opened."""
    images = {}
    for name, shard, codec in (("zstd", None, "zstd"), ("lz4", None, "lz4"), ("zstd in shards", 4096, "zstd")):
        path = folder / f"{name}.zarr"
        sides = None if shard is None else (shard, shard)
        create_level(path, picture.shape, picture.dtype, (512, 512), sides, codec).write(picture).result()
        images[f"tensorstore, {name}"] = open_image(path)
    plain = zarr.open_array(str(folder / "zstd.zarr"), mode="r")
    images["zarr-python, zstd"] = Image([plain], "yx", "zarr-python", (0,))
    for name in ("zstd", "zlib", "none"):
        path = folder / f"{name}.tif"
        options: dict[str, Any] = {} if name == "none" else {"tile": (512, 512), "compression": name}
        tifffile.imwrite(path, picture, **options)
        image = images[f"TIFF, {name}"] = open_image(path)
        image.arrays[0]._cache = LRU(limit_bytes=0)  # the picture must not fit into it
    path = folder / "zlib.tif"
    view = zarr.open_array(tifffile.TiffFile(path).series[0].aszarr(), mode="r")
    images["tifffile's own view, zlib"] = Image([view], "yx", "aszarr", (0,))
    return images


def _speeds(images: dict[str, Image], corners: list[Any], threads: int) -> dict[str, list[float]]:
    """Windows per second of every image, one value per round after the first."""
    speeds: dict[str, list[float]] = {name: [] for name in images}
    with ThreadPoolExecutor(threads) as pool:
        for i, several in enumerate(corners):
            for name, image in images.items():
                seconds = timing.seconds_of(functools.partial(_read_all, pool, image, several))
                if i:
                    speeds[name].append(len(several) / seconds)
    return speeds


def _read_all(pool: ThreadPoolExecutor, image: Image, corners: list[Any]) -> None:
    for _ in pool.map(lambda c: image.read(0, c[0], c[1], c[0] + WINDOW, c[1] + WINDOW), corners):
        pass


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small image: does it run, not how fast")
    parser.add_argument("--side", type=int, default=16384, help="height and width of the image (16384)")
    parser.add_argument("--threads", type=int, default=2, help="readers at once (2)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
