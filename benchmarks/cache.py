"""Embeddings on disk: time of the first click, bytes per window, and whether masks stay the same.

    python -m benchmarks.cache [--quick] [--model NAME ...]

Images are real ones of the package and of scikit-image. The first click is made three ways in turns: with an empty
cache, with the window on disk, and with it in memory. The disk's files are in the page cache, as after a precompute.
Masks are those of clicks on a grid over each image, with embeddings fresh from the network and read from disk; IoU is
the mean over all masks of all clicks. Bytes are compared with float32, which micro-sam stores.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from skimage import data

from benchmarks import timing
from benchmarks.fixtures import full_masks, mean_iou
from napari_sam import Predictor, samples
from napari_sam.engine.embeddings.embedding_cache import EmbeddingCache
from napari_sam.engine.embeddings.precompute import precompute
from napari_sam.io.embedding_store import ZarrEmbeddingStore

if TYPE_CHECKING:
    from benchmarks.timing import Row

FIRST_CLICK = 0.5  # with the window on disk over without
AGREEMENT = 0.995
BYTES = 0.5


def main(arguments: list[str] | None = None) -> None:
    options = _parse(arguments)
    found = timing.machine()
    timing.say(timing.describe(found))
    rows: list[Row] = []
    facts: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        pictures = _pictures(Path(folder), 1 if options.quick else None)
        for model in options.model:
            for precision in ("float32", "bfloat16"):
                name = f"{model} {precision}"
                timing.say(f"{name} ...")
                predictor = Predictor(model, precision=precision)
                store = ZarrEmbeddingStore(Path(folder) / name.replace("/", "_"))
                rows += _first_clicks(predictor, store, pictures[0], name, 2 if options.quick else 15)
                facts[name] = _facts(predictor, store, pictures, 3 if options.quick else 5)
    timing.say("\n" + timing.table(rows))
    for name, known in facts.items():
        timing.say(f"{name}: {known}")
    timing.say(f"wrote {timing.write_json('cache', rows, found, partial=options.quick, facts=facts)}")


def _first_clicks(predictor: Predictor, store: ZarrEmbeddingStore, path: Path, name: str, count: int) -> list[Row]:
    """Rows of the first click on an image: encoded, from disk, from memory."""
    predictor.set_image(path)
    height, width = predictor.image.shape
    point = (height // 3, width // 3)
    predictor.cache = EmbeddingCache(store=store)
    predictor.predict(points=[point])
    predictor.cache.flush()

    def click(cache: EmbeddingCache) -> None:
        predictor.cache = cache
        predictor.predict(points=[point])

    warm = predictor.cache
    ways = {
        "encoded": lambda: click(EmbeddingCache()),
        "from disk": lambda: click(EmbeddingCache(store=store)),
        "from memory": lambda: click(warm),
    }
    timings, _ = timing.interleave(ways, count)
    case, base = f"{name}, first click", timings["encoded"]
    return [
        timing.row(case, "encoded", base),
        timing.row(case, "from disk", timings["from disk"], base, max_ratio=FIRST_CLICK),
        timing.row(case, "from memory", timings["from memory"], base),
    ]


def _facts(predictor: Predictor, store: ZarrEmbeddingStore, pictures: list[Path], clicks: int) -> dict[str, Any]:
    """Agreement of masks, bytes of a window, and windows per second of a precompute."""
    ious, embedded, seconds = [], 0, 0.0
    for path in pictures:
        predictor.set_image(path)
        height, width = predictor.image.shape
        middles = (np.arange(clicks) + 0.5) / clicks
        asks = [{"points": [(int(y * height), int(x * width))]} for y in middles for x in middles]
        predictor.cache = EmbeddingCache()
        fresh = predictor.predict_many(asks)
        predictor.cache = EmbeddingCache(store=store)
        started = time.perf_counter()
        embedded += precompute(predictor).encoded
        seconds += time.perf_counter() - started
        predictor.cache.clear()
        kept = predictor.predict_many(asks)
        ious.append(mean_iou(full_masks(fresh, (height, width)), full_masks(kept, (height, width))))
    sizes = [p.stat().st_size for p in store.folder.glob("*/*/c.*") if "-objects" not in p.parent.name]
    float32 = predictor.embed(predictor.window_for(points=[(1, 1)])).numel() * 4
    objects = [p.stat().st_size for p in store.folder.glob("*/*-objects-*/c.*")]
    agreement, share = float(np.mean(ious)), float(np.mean(sizes)) / float32
    return {
        "mask IoU, fresh and from disk": round(agreement, 5),
        f"IoU >= {AGREEMENT}": agreement >= AGREEMENT,
        "lowest image": round(min(ious), 5),
        "clicks": len(pictures) * clicks * clicks,
        "MiB per window": round(float(np.mean(sizes)) / (1 << 20), 3),
        "bytes / float32": round(share, 3),
        f"bytes <= {BYTES}": share <= BYTES,
        "bytes of a window's objects": round(float(np.mean(objects))) if objects else None,
        "precomputed windows per second": round(embedded / seconds, 2),
    }


def _pictures(folder: Path, limit: int | None) -> list[Path]:
    """Real images as files: only a file's embeddings are kept on disk."""
    images = {"nuclei": samples.nuclei(), "astronaut": data.astronaut(), "coins": data.coins(), "camera": data.camera()}
    for name, image in images.items():
        Image.fromarray(image).save(folder / f"{name}.png")
    return [folder / f"{name}.png" for name in images][:limit]


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one image, few repetitions: does it run, not how fast")
    parser.add_argument("--model", nargs="+", default=["default"], help="names or checkpoint files (default)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
