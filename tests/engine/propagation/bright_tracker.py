"""A tracker that sees bright objects perfectly, so that windows and passes can be tested without a trained network."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch.nn import functional as F

from src_models.video.frame_tracker import FrameFeatures, FrameTracker
from src_models.video.object_memory import FrameMemory

SIDE = 128


class BrightTracker(FrameTracker):
    """Takes everything bright in a window for the object; each call is counted.

    Parameters
    ----------
    net : Sam2
        Not used but for its size.
    length : int
        Number of planes.
    """

    def __init__(self, net, length):
        super().__init__(net, length)
        self.encoded = self.batches = 0
        self.conditionings = []

    def encode(self, pixels):
        """Keep the brightness of each low-res logit: (1, 16, h, w)."""
        self.encoded += 1
        grey = F.avg_pool2d(pixels.mean(0)[None, None], pixels.shape[-1] // SIDE)
        return F.pixel_unshuffle(grey, 4)

    def split(self, packed):
        return FrameFeatures(packed, None)

    def answer(self, features, coords, labels, logits, conditioning):
        return self._seen(features)

    def given(self, features, mask):
        return self._seen(features)

    def track(self, features, conditionings):
        self.batches += 1
        self.conditionings += conditionings
        assert all(c.frames for c in conditionings)
        return [self._seen(features) for _ in conditionings]

    def remembered(self, features, memories, *, binarise):
        return [replace(memory, tokens=torch.zeros(4, 64)) for memory in memories]

    def _seen(self, features):
        logits = F.pixel_shuffle(features.image, 4)[0] - 100
        present = bool((logits > 0).any())
        score = torch.tensor([9.0 if present else -9.0])
        return FrameMemory(logits, score, torch.tensor([0.9]), torch.zeros(256), torch.zeros(4, 64))
