"""A stack drawn on demand and a network that knows it: what is left of an error is the engine's."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from napari_sam.engine.embeddings.embedder import Embedder
from napari_sam.engine.interactive.window_predictor import WindowPredictor
from napari_sam.engine.loaded_model import LoadedModel
from napari_sam.engine.normalisation import Normalisation
from napari_sam.engine.propagation.follow_objects import ObjectFollower
from napari_sam.engine.propagation.propagation_settings import PropagationSettings
from napari_sam.engine.window_pixels import read_window
from napari_sam.errors import ImageError
from tests.engine.perfect import Blob, BlobImage, PerfectRunner

NOWHERE = Blob(-1e6, -1e6, 1.0)


@dataclass
class BlobStack:
    """A stack of one blob per plane, which may be missing; a `PlaneSource`."""

    blobs: list[Blob | None]
    shape: tuple[int, int] = (16_384, 16_384)
    damaged: tuple[int, ...] = ()
    blank: tuple[int, ...] = ()
    axis: str = "z"
    current: int = 0
    position: int = 0
    spacing: float | None = 1.0
    opened: Counter = field(default_factory=Counter)

    @property
    def count(self):
        return len(self.blobs)

    def leading(self, plane):
        return (plane,)

    def plane(self, index):
        self.opened[index] += 1
        if index in self.damaged:
            raise ImageError(f"plane {index} is damaged")
        image = BlobImage(self.blobs[index] or NOWHERE, self.shape)
        image.identity = f"plane {index}"
        if index in self.blank:
            image.read = lambda *region: np.zeros(_size(*region), np.uint8)
        image.number = index
        return image


def _size(level, y0, x0, y1, x1, step=1):
    return -(-(y1 - y0) // step), -(-(x1 - x0) // step), 1


class PerfectStackRunner(PerfectRunner):
    """Decodes any prompt to the truth of its plane, whose number the embedding holds."""

    net = None

    def __init__(self, stack):
        super().__init__(NOWHERE)
        self.stack, self.number, self.decoded = stack, 0, Counter()

    def encode(self, images):
        embedding = super().encode(images)
        embedding[0, 0, 0, 8] = self.number
        return embedding

    def decode(self, embedding, *rest, **options):
        number = int(embedding[0, 0, 0, 8])
        self.decoded[number] += 1
        self.blob = self.stack.blobs[number] or NOWHERE
        return super().decode(embedding, *rest, **options)


def perfect_engine(stack, runner=None):
    """The engine around a network that makes no mistakes on a `BlobStack`."""
    runner = PerfectStackRunner(stack) if runner is None else runner

    def read_pixels(source, normalisation, window, shape=None):
        runner.window, runner.number = window, source.number  # what `encode` is called with next
        return read_window(source, normalisation, window, shape)

    model = LoadedModel("perfect", runner, "perfect")
    return WindowPredictor(Embedder(model, read_pixels=read_pixels), tidy=True)


def follow(stack, prompts, engine=None, **options):
    """Follow objects through a `BlobStack`; returns the propagations and the engine's runner.

    The network knows the planes only, so that side views are left out.
    """
    options.setdefault("settings", PropagationSettings(side_views=False))
    engine = perfect_engine(stack) if engine is None else engine
    follower = ObjectFollower(stack, engine, Normalisation(), options)
    return follower.follow(prompts), engine.embedder.model.runner


def iou_with_truth(propagation, stack, plane):
    """IoU of a plane's mask with the blob there."""
    blob = stack.blobs[plane]
    mask, box = propagation.mask(plane)
    reach = int(blob.reach) + 3
    frame = box.union((int(blob.y) - reach, int(blob.x) - reach, int(blob.y) + reach, int(blob.x) + reach))
    frame = frame.clip(stack.shape)
    truth = blob.depth(np.arange(frame.y0, frame.y1), np.arange(frame.x0, frame.x1)) > 0
    found = np.zeros(frame.shape, bool)
    found[box.slices_in(frame)] = mask
    return (found & truth).sum() / (found | truth).sum()


__all__ = ["BlobStack", "follow", "iou_with_truth", "perfect_engine"]
