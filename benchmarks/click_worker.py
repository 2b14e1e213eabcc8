"""A process that clicks on demand, started by `benchmarks.busy_click`.

It reads numbers of clicks from its standard input, one a line, and answers each with a JSON line: the seconds of each
further click, and the seconds of the first click in a new window.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from benchmarks.click import nuclei_scene
from benchmarks.timing import seconds_of
from napari_sam import Predictor

if TYPE_CHECKING:
    from benchmarks.click import Scene

_WARMUP = 3


def main() -> None:
    scene = nuclei_scene()
    predictor = Predictor("default", device="cpu")
    click(predictor, scene, _WARMUP)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(click(predictor, scene, int(line))) + "\n")
        sys.stdout.flush()


def click(predictor: Predictor, scene: Scene, count: int) -> dict[str, list[float]]:
    """Open the image anew, click once, then click `count` times in the same window; return the seconds of each."""
    predictor.cache.clear()
    predictor.set_image(scene.image)
    points = [scene.points[i % len(scene.points)] for i in range(count + 1)]
    seconds = [seconds_of(lambda point=point: predictor.predict(points=[point])) for point in points]
    return {"first": seconds[:1], "further": seconds[1:]}


if __name__ == "__main__":
    main()
