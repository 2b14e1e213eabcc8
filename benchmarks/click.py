"""Time from a click to its mask, as a user of the default model waits for it.

    python -m benchmarks.click [--quick] [--clicks N]

The first click on a place reads the pixels and runs the encoder; further clicks in the same window only
decode. Times end when `Predictor.predict` returns the masks; what a viewer adds is not in them.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from benchmarks import timing
from benchmarks.fixtures import synthetic_cells
from napari_sam import Predictor, samples

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from benchmarks.timing import Row, Timing
    from napari_sam.engine.windows import Window


@dataclass
class Scene:
    """An image and places to click on it, all of which share one window."""

    name: str
    image: NDArray[np.uint8]
    points: list[tuple[float, float]]
    facts: dict[str, Any] = field(default_factory=dict)


def main(arguments: list[str] | None = None) -> None:
    options = _parse(arguments)
    found = timing.machine()
    timing.say(timing.describe(found))
    predictor = Predictor("default", device="cpu")
    rows: list[Row] = []
    facts = {}
    for scene in (nuclei_scene(), _cells(predictor)):
        timing.say(f"{scene.name}: {len(scene.points)} places to click ...")
        first = 3 if options.quick else 20
        rows += _measure(predictor, scene, first, 10 if options.quick else options.clicks)
        facts[scene.name] = scene.facts
    timing.say("\n" + timing.table(rows))
    for name, known in facts.items():
        timing.say(f"{name}: {known}")
    path = timing.write_json("click", rows, found, partial=options.quick, scenes=facts)
    timing.say(f"wrote {path}")


def _measure(predictor: Predictor, scene: Scene, firsts: int, clicks: int) -> list[Row]:
    """Rows of one scene: opening, first clicks, further clicks."""
    opening, first = _first_clicks(predictor, scene, firsts)
    further = _clicks(predictor, scene, clicks)
    return [
        timing.row(scene.name, "set_image", opening),
        timing.row(scene.name, "first click (with encode)", first),
        timing.row(scene.name, "further clicks", further),
    ]


def _first_clicks(predictor: Predictor, scene: Scene, count: int) -> tuple[Timing, Timing]:
    """Open the image anew and click once, `count` times, after one round that does not count."""
    opening, clicking = [], []
    for i in range(count + 1):
        predictor.cache.clear()
        opening.append(timing.seconds_of(lambda: predictor.set_image(scene.image)))
        point = scene.points[i % len(scene.points)]
        clicking.append(timing.seconds_of(lambda point=point: predictor.predict(points=[point])))
    return timing.Timing(tuple(opening[1:])), timing.Timing(tuple(clicking[1:]))


def _clicks(predictor: Predictor, scene: Scene, count: int) -> Timing:
    """Click through the scene with its window embedded; note how often a click needed another window."""
    predictor.cache.clear()
    predictor.set_image(scene.image)
    predictor.embed(predictor.window_for(points=[scene.points[0]]))
    seconds, coarser = [], 0
    for i in range(count + 1):
        point = scene.points[i % len(scene.points)]
        start = time.perf_counter()
        prediction = predictor.predict(points=[point])
        seconds.append(time.perf_counter() - start)
        coarser += len(prediction.levels) > 1 and i > 0
    scene.facts |= {"window": prediction.window.shape, "clicks that needed a coarser window": coarser}
    return timing.Timing(tuple(seconds[1:]))


def nuclei_scene() -> Scene:
    """Make a scene of the sample image, clicked on the innermost pixel of every nucleus."""
    image, labels = samples.nuclei(), samples.nuclei_labels()
    return Scene(f"nuclei {image.shape[0]}x{image.shape[1]}", image, list(_innermost(labels)))


def _innermost(labels: NDArray[np.uint8]) -> Iterable[tuple[float, float]]:
    for label in np.unique(labels[labels > 0]):
        depth = ndimage.distance_transform_edt(labels == label)
        y, x = np.unravel_index(depth.argmax(), labels.shape)
        yield float(y), float(x)


def _cells(predictor: Predictor) -> Scene:
    """Make a scene of a large synthetic image, clicked on all discs of the window in its middle."""
    image, centres = synthetic_cells()
    predictor.set_image(image)
    middle = (image.shape[0] / 2, image.shape[1] / 2)
    window = predictor.window_for(points=[middle])
    points = [(float(y), float(x)) for y, x in centres if _in(predictor, window, (y, x))]
    return Scene(f"cells {image.shape[0]}x{image.shape[1]}", image, points)


def _in(predictor: Predictor, window: Window, point: tuple[float, float]) -> bool:
    return predictor.window_for(points=[point]) == window


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few repetitions: does it run, not how fast")
    parser.add_argument("--clicks", type=int, default=200, help="further clicks per image (200)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
