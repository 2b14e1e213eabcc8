"""Time a propagated plane against a click in the same window, in one run.

    python -m benchmarks.propagation [--model default] [--repetitions 5] [--objects 1] [--quick]

Both begin with nothing cached, and include reading, encoding and decoding. The click is answered with one look.
What is done once for an object, when it begins to be followed, is timed on its own.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import numpy as np

from benchmarks import timing
from napari_sam import Predictor, open_image, samples
from napari_sam.engine.embeddings.embedding_cache import EmbeddingCache
from napari_sam.engine.interactive.prediction import PredictionSettings
from napari_sam.engine.propagation.carriers.prompt_carrier import PromptCarrier
from napari_sam.engine.propagation.plane_prompts import PlanePrompt
from napari_sam.engine.propagation.plane_views import PlaneViews
from napari_sam.io.images.image_stack import ImageStack
from src_models.training.prompt_simulation import deepest_point

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam.engine.propagation.carrier import CarriedMask

MAX_RATIO = 1.3


def main(arguments: list[str] | None = None) -> None:
    options = _parse(arguments)
    found = timing.machine()
    timing.say(timing.describe(found))
    predictor = Predictor(options.model, device="cpu", second_look=False)
    image = open_image(drifting_stack(), axes="zyx")
    predictor.set_image(image)
    views = PlaneViews(ImageStack(image), predictor.engine, predictor.normalisation)
    places = click_places(options.objects)
    carrier = PromptCarrier()
    start = views.view(0)
    answers = carrier.prompt(start, {i: PlanePrompt((place,), (1,)) for i, place in enumerate(places)})

    def click() -> int:
        predictor.cache = EmbeddingCache()
        view = views.view(1)
        return len(view.engine.predict_many([{"points": [place]} for place in places], PredictionSettings()))

    def begin() -> None:
        carrier.begin(start, answers, reverse=False)

    def carry() -> dict[int, CarriedMask]:  # always after `begin`, which takes the object back to the first plane
        predictor.cache = EmbeddingCache()
        return carrier.carry(views.view(1), list(answers), reverse=False)

    repetitions = 1 if options.quick else options.repetitions
    times, results = timing.interleave({"click": click, "begin": begin, "carry": carry}, repetitions)
    case = f"{predictor.model}, {len(places)} objects on one plane"
    rows = [
        timing.row(case, "click", times["click"]),
        timing.row(case, "begin, once for an object", times["begin"], times["click"]),
        timing.row(case, "propagated plane", times["carry"], times["click"], max_ratio=MAX_RATIO),
    ]
    timing.say("\n" + timing.table(rows))
    timing.say(f"found on the next plane: {sum(not r.absent for r in results['carry'].values())} of {len(places)}")
    path = timing.write_json("propagation", rows, found, partial=options.quick)
    timing.say(f"wrote {path}")


def drifting_stack() -> NDArray[np.uint8]:
    """Return two planes of nuclei, the second moved by two pixels."""
    plane = np.asarray(samples.nuclei())
    grey = plane if plane.ndim == 2 else plane[..., 0]
    return np.stack([grey, np.roll(grey, (2, 2), (0, 1))])


def click_places(count: int) -> list[tuple[float, float]]:
    """Return places (y, x) inside the largest nuclei."""
    labels = np.asarray(samples.nuclei_labels())
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    places = (deepest_point(labels == label) for label in np.argsort(sizes)[::-1][:count])
    return [(float(y), float(x)) for y, x in places]


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="default", help="model (default: default)")
    parser.add_argument("--repetitions", type=int, default=5, help="timed rounds (default: 5)")
    parser.add_argument("--objects", type=int, default=1, help="objects (default: 1)")
    parser.add_argument("--quick", action="store_true", help="one repetition: does it run, not how fast")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
