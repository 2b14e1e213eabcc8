"""Stacks of bright discs, and `segment_volume` and `track` with a finder that needs no network.

Run as a module, ``tests.jobs.stacks.bright_stack STACK OUT STEP``, it kills its own process at a step of its progress.
"""

import os
import signal
import sys

import numpy as np

from napari_sam.engine.automatic.object_finder import TileObjects
from napari_sam.engine.linking.link_settings import FrameLinking, PlaneLinking
from napari_sam.jobs.job_settings import EverythingSettings
from napari_sam.jobs.run_options import RunOptions
from napari_sam.jobs.stacks.open_stack import open_stack
from napari_sam.jobs.stacks.segment_stack import StackRequest, segment_stack
from napari_sam.predictor import Predictor
from tests.jobs.bright_finder import OPTIONS, BrightFinder, never


def stack(planes, side=160):
    """Draw planes given as lists of discs (y, x, radius) or (y, x, radius, brightness)."""
    yy, xx = np.ogrid[:side, :side]
    drawn = np.zeros((len(planes), side, side), np.uint8)
    for image, discs in zip(drawn, planes, strict=True):
        for y, x, r, *value in discs:
            image[(yy - y) ** 2 + (xx - x) ** 2 <= r * r] = value[0] if value else 200
    return drawn


class StackSegmenter:
    """Call as `segment_volume` or `track`, without following objects by prompts unless `linking` is given.

    `fails(plane)` tells which planes cannot be read, and `misses(plane)` on which planes the first object is not found.
    """

    def __init__(self, linking=PlaneLinking, axis="z"):
        self.linking, self.axis, self.fails, self.misses, self.planes = linking, axis, never, never, []

    def __call__(self, source, predictor, output=None, *, planes=None, on_plane=None, linking=None, **keywords):
        options = {name: keywords.pop(name) for name in OPTIONS & keywords.keys()}
        settings = EverythingSettings(**{"side": 64, "method": "dense", **keywords})
        request = StackRequest(
            open_stack(source, self.axis), planes, linking or self.linking(follow=0), settings, on_plane
        )
        return segment_stack(request, predictor, output, RunOptions(**options), self._build)

    def _build(self, spec, predictor):
        plane = predictor.image.plane[-1]
        self.planes.append(plane)
        kind = BlindFinder if self.misses(plane) else BrightFinder
        return kind(predictor, lambda region: self.fails(plane))


class BlindFinder(BrightFinder):
    """Misses the first object of each tile."""

    def finish(self, region, factor, computed):
        found = super().finish(region, factor, computed)
        labels = np.where(found.labels > 1, found.labels - 1, 0).astype(np.int32)
        return TileObjects(labels, found.predicted_iou[1:], found.stability_score[1:])


def main(source, out, step):
    steps = []

    def progress(done, total):
        steps.append(done)
        if len(steps) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    segment = StackSegmenter(FrameLinking, "t")
    segment(source, Predictor(device="cpu"), out, resume=True, progress=progress).labels.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
