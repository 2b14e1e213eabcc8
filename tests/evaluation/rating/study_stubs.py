"""Samples and a model for rating studies."""

from __future__ import annotations

import numpy as np

from tests.evaluation.evaluation_stubs import Oracle, toy


class Stub:
    """A model whose predictor is the oracle of the image at hand."""

    name = "half"

    def load(self):
        class ImageOracle(Oracle):
            def set_image(self, image):
                self.labels = (image[..., 0] > 0).astype(np.int32)

        return ImageOracle(np.zeros((4, 4), np.int32))


def samples(count=6):
    """Return images with one square object each."""
    out = []
    for i in range(count):
        labels = np.zeros((90, 90), np.int32)
        labels[10:40, 10 + i : 40 + i] = 1
        out.append(toy(labels, name=f"im{i}"))
    return out
