"""Labelled stacks on disk, and a predictor that knows the truth and makes known errors."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import tifffile

from napari_sam.engine.geometry import Box
from napari_sam.evaluation.experiments.stacks.plane_by_plane import PlaneMasks


def volume():
    """Return labels (6, 40, 60): a bar 3 through five planes, and a block 8 on three."""
    labels = np.zeros((6, 40, 60), np.uint16)
    labels[0:5, 5:15, 5:25], labels[2:5, 20:36, 30:50] = 3, 8
    return labels


def write_stack(root, labels, dataset="toy", name="a", axes="ZYX", split="dev"):
    """Write a stack as a collection has it."""
    folder = root / dataset / split
    folder.mkdir(parents=True, exist_ok=True)
    image = ((labels > 0) * 200).astype(np.uint8)
    for part, array in (("image", image), ("labels", labels)):
        tifffile.imwrite(folder / f"{name}.{part}.tif", array, metadata={"axes": axes}, photometric="minisblack")
    return folder


def masks_of(labels, label, planes):
    """Return an object on some planes."""
    height, width = labels.shape[1:]
    return PlaneMasks({p: (labels[p] == label, Box(0, 0, height, width)) for p in planes})


class FollowOracle:
    """Follows objects without their last plane; each correction adds the true mask of its plane."""

    model, weights, device, can_dense = "oracle", "none", "cpu", True
    runner = SimpleNamespace(kind="default", dtype="float32")

    def __init__(self, labels):
        self.labels, self.plane, self.corrections = labels, 0, []

    def sharing(self):
        return FollowOracle(self.labels)

    def set_image(self, image):
        self.plane = image.plane[0]

    def propagate_many(self, prompts, axis):
        self.axis = axis
        return [self._follow(int(self.labels[tuple(prompt["points"][0])])) for prompt in prompts]

    def _follow(self, label):
        planes = np.flatnonzero((self.labels == label).any((1, 2))).tolist()
        return masks_of(self.labels, label, planes[:-1])

    def repropagate(self, followed, plane, points, point_labels):
        (y, x), (positive,) = points[0], point_labels
        self.corrections.append((plane, positive, int(self.labels[plane, y, x])))
        return PlaneMasks({**followed.masks, **masks_of(self.labels, self.labels[plane, y, x], [plane]).masks})

    def predict_many(self, prompts):
        """Answer a click with the object under it, on background with a pixel."""
        return [self._answer(*(int(v) for v in prompt["points"][0])) for prompt in prompts]

    def _answer(self, y, x):
        label = self.labels[self.plane, y, x]
        if label:
            return SimpleNamespace(mask=self.labels[self.plane] == label, bbox=(0, 0, *self.labels.shape[1:]))
        return SimpleNamespace(mask=np.ones((1, 1), bool), bbox=(y, x, y + 1, x + 1))

    def instances(self):
        """Number the objects of each plane in another way."""
        plane = self.labels[self.plane].astype(np.int32)
        return np.where(plane > 0, 20 - plane + self.plane, 0)
