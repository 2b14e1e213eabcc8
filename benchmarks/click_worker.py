"""A process that clicks on demand, started by `benchmarks.busy_click`.

It reads requests from its standard input, each a line with a number of clicks and a limit in seconds. Each answer is a
JSON line: the seconds of the first click in a new window, and of each further click.
"""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

from benchmarks.click import nuclei_scene
from benchmarks.timing import seconds_of
from napari_sam import Predictor

if TYPE_CHECKING:
    from benchmarks.click import Scene

_WARMUP, _WARMUP_S = 3, 10.0


def main() -> None:
    scene = nuclei_scene()
    predictor = Predictor("default", device="cpu")
    click(predictor, scene, _WARMUP, _WARMUP_S)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        count, limit_s = line.split()
        sys.stdout.write(json.dumps(click(predictor, scene, int(count), float(limit_s))) + "\n")
        sys.stdout.flush()


def click(predictor: Predictor, scene: Scene, count: int, limit_s: float) -> dict[str, list[float]]:
    """Open the image anew, click once, then up to `count` times in the same window; return the seconds of each.

    After `limit_s` seconds no further click begins, but there is at least one.
    """
    predictor.cache.clear()
    predictor.set_image(scene.image)
    start = time.perf_counter()
    seconds: list[float] = []
    for i in range(count + 1):
        point = scene.points[i % len(scene.points)]
        seconds.append(seconds_of(lambda point=point: predictor.predict(points=[point])))
        if i and time.perf_counter() - start > limit_s:
            break
    return {"first": seconds[:1], "further": seconds[1:]}


if __name__ == "__main__":
    main()
