"""One implementation in its own process: load the weights once, then time what compare.py asks for.

It runs in .peers-venv for the peers and in .venv for ours, so it imports nothing but what it times. Each line
of standard input is a request in JSON, each line of standard output its answer.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import sys
import time
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[Any]


class Implementation(Protocol):
    """What is timed."""

    version: str

    def encode(self, image: Array) -> None:
        """Embed an RGB image (H, W, 3) and remember it."""

    def decode(self, points: Array) -> Any:
        """Segment one object for each foreground point (N, 2), (y, x), in full resolution."""

    def masks(self, answer: Any, best: bool) -> Array:
        """Turn what `decode` returned into (N, 3, H, W) bool, or (N, 1, H, W) if only `best`; not timed."""


class SegmentAnything:
    """PyPI's segment-anything: ``SamPredictor``."""

    def __init__(self, checkpoint: str) -> None:
        from segment_anything import SamPredictor, sam_model_registry

        self.version = importlib.metadata.version("segment-anything")
        self.predictor = SamPredictor(sam_model_registry["vit_b"](checkpoint=checkpoint))

    def encode(self, image: Array) -> None:
        """Embed an image."""
        self.predictor.set_image(image)

    def decode(self, points: Array) -> tuple[Array, Array]:
        """Answer all prompts in one batch, as its own mask generator does."""
        xy = np.ascontiguousarray(points[:, None, ::-1])
        coords = self.predictor.transform.apply_coords(xy, self.predictor.original_size)
        found, predicted_iou, _ = self.predictor.predict_torch(
            torch.as_tensor(coords, dtype=torch.float32), torch.ones(len(points), 1), multimask_output=True
        )
        return found.numpy(), predicted_iou.numpy()

    def masks(self, answer: tuple[Array, Array], best: bool) -> Array:
        """Return them as they are, or those of the highest predicted IoU."""
        found, predicted_iou = answer
        return found[np.arange(len(found)), predicted_iou.argmax(1)][:, None] if best else found


class MicroSam:
    """PyPI's micro-sam: ``precompute_image_embeddings`` and ``batched_inference``.

    It gives the best of three masks, its default; asked for all three it fails with an IndexError in 1.8.14.
    """

    def __init__(self, checkpoint: str) -> None:
        from micro_sam import inference, util

        self.version = importlib.metadata.version("micro-sam")
        self.util, self.inference = util, inference
        self.predictor = util.get_sam_model("vit_b", device="cpu", checkpoint_path=checkpoint)

    def encode(self, image: Array) -> None:
        """Embed an image."""
        found = self.util.precompute_image_embeddings(self.predictor, image, ndim=2, verbose=False)
        self.util.set_precomputed(self.predictor, found)

    def decode(self, points: Array) -> list[dict[str, Any]]:
        """Answer all prompts in one batch."""
        found: list[dict[str, Any]] = self.inference.batched_inference(
            self.predictor,
            None,
            batch_size=len(points),
            points=np.ascontiguousarray(points[:, None, ::-1]),
            point_labels=np.ones((len(points), 1)),
            multimasking=True,
            return_instance_segmentation=False,
        )
        return found

    def masks(self, answer: list[dict[str, Any]], best: bool) -> Array:
        """Stack its records."""
        if not best:
            raise ValueError("micro-sam gives only the best mask of each prompt")
        return np.stack([np.asarray(record["segmentation"]) for record in answer])[:, None]


class Ours:
    """Our own ``napari_sam.Predictor``."""

    def __init__(self, checkpoint: str, precision: str) -> None:
        from napari_sam import Predictor, __version__

        self.version = __version__
        self.predictor = Predictor(checkpoint, device="cpu", precision=precision)

    def encode(self, image: Array) -> None:
        """Embed an image."""
        self.predictor.cache.clear()
        self.predictor.set_image(image)
        self.predictor.embed(self.predictor.window_for(points=[(0, 0)]))

    def decode(self, points: Array) -> Any:
        """Answer all prompts in one call."""
        return self.predictor.predict_many([{"points": [point]} for point in points])

    def masks(self, answer: Any, best: bool) -> Array:
        """Put the crops back into the image."""
        shape = self.predictor.image.shape
        return np.stack([[p.full_mask(shape, i) for i in ([p.best] if best else range(3))] for p in answer])


BUILDERS: dict[str, Callable[[str], Implementation]] = {
    "segment-anything": SegmentAnything,
    "micro-sam": MicroSam,
    "ours": lambda checkpoint: Ours(checkpoint, "auto"),
    "ours float32": lambda checkpoint: Ours(checkpoint, "float32"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", nargs="?", choices=BUILDERS)
    parser.add_argument("checkpoint", nargs="?")
    parser.add_argument("--check", action="store_true", help="say which peers can be imported")
    options = parser.parse_args()
    if options.check:
        _check()
        return
    with contextlib.redirect_stdout(sys.stderr):  # what packages print is no answer
        _serve(options.name, options.checkpoint)


def _serve(name: str, checkpoint: str) -> None:
    """Answer requests until there are no more."""
    try:
        engine = BUILDERS[name](checkpoint)
    except ImportError as error:
        _say({"error": f"{type(error).__name__}: {error}"})
        return
    _say({"version": engine.version, "torch": torch.__version__, "threads": torch.get_num_threads()})
    for line in sys.stdin:
        _say(_answer(engine, json.loads(line)))


def _answer(engine: Implementation, request: dict[str, Any]) -> dict[str, Any]:
    """Do what is asked and time it; masks go packed to a file, if one is named."""
    given = np.load(request["input"])
    act = engine.encode if request["do"] == "encode" else engine.decode
    start = time.perf_counter()
    result = act(given)
    seconds = time.perf_counter() - start
    if request.get("output"):
        masks = engine.masks(result, request["best"])
        np.savez(request["output"], bits=np.packbits(masks), shape=masks.shape)
    return {"seconds": seconds}


def _check() -> None:
    for module in ("segment_anything", "micro_sam.inference"):
        try:
            __import__(module)
            sys.stdout.write(f"{module}: can be imported\n")
        except ImportError as error:
            sys.stdout.write(f"{module}: {type(error).__name__}: {error}\n")


def _say(answer: dict[str, Any]) -> None:
    sys.__stdout__.write(json.dumps(answer) + "\n")  # type: ignore[union-attr]
    sys.__stdout__.flush()  # type: ignore[union-attr]


if __name__ == "__main__":
    main()
