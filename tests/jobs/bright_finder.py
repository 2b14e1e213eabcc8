"""A finder that needs no network, and `segment_everything` with it.

Run as a module, ``tests.jobs.bright_finder IMAGE OUT STEP``, it kills its own process at a step of its progress.
"""

import os
import signal
import sys

import numpy as np
from scipy import ndimage

from napari_sam.engine.automatic.object_finder import TileObjects
from napari_sam.errors import ImageError
from napari_sam.jobs.job_settings import EverythingSettings
from napari_sam.jobs.run_options import RunOptions
from napari_sam.jobs.segment_image import segment_image

OPTIONS = set(RunOptions.__dataclass_fields__)


def never(region):
    return False


class BrightFinder:
    """Finds connected pixels above 0, without error, in windows of 64 pixels; one sample per label pixel."""

    method = "dense"
    side = 64

    def __init__(self, predictor, fails=never):
        self.image, self.fails = predictor.image, fails
        self.computed = []

    def settings(self):
        return {"above": 0}

    def read(self, region, factor):
        if self.fails(region):
            raise ImageError("chunk 7 is damaged")
        y0, x0, y1, x1 = region
        half = factor // 2
        return self.image.read(0, y0, x0, y1, x1)[half::factor, half::factor, 0]

    def is_blank(self, read):
        return False

    def compute(self, region, factor, read, cancelled=None):
        self.computed.append((region, factor))
        return read

    def finish(self, region, factor, computed):
        h, w = (-(-(region[a + 2] - region[a]) // factor) for a in (0, 1))
        padded = np.zeros((h, w), computed.dtype)
        padded[: computed.shape[0], : computed.shape[1]] = computed
        labels, count = ndimage.label(padded)
        scores = np.full(count, 0.9, np.float32)
        return TileObjects(labels.astype(np.int32), scores, scores)


class Segmenter:
    """Call as `segment_everything`; it finds objects with a `BrightFinder`.

    `finders` holds the finder of each call; `fails` tells which regions cannot be read.
    """

    def __init__(self, kind=BrightFinder):
        self.kind, self.fails, self.finders = kind, never, []

    def __call__(self, image, predictor, output=None, *, side=64, **keywords):
        options = {name: keywords.pop(name) for name in OPTIONS & keywords.keys()}
        settings = EverythingSettings(side=side, **keywords)
        return segment_image(image, predictor, output, settings, RunOptions(**options), self._build)

    def _build(self, spec, predictor):
        self.finders.append(self.kind(predictor, self.fails))
        return self.finders[-1]


def main(image, out, step):
    steps = []

    def progress(done, total):
        steps.append(done)
        if len(steps) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    Segmenter()(image, "default", out, resume=True, progress=progress).labels.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
