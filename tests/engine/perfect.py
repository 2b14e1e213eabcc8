"""A world drawn on demand and a network that knows it: what is left of an error is the engine's."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field

import numpy as np
import torch

from napari_sam.engine.embeddings.embedder import Embedder
from napari_sam.engine.interactive.window_predictor import WindowPredictor
from napari_sam.engine.loaded_model import LoadedModel
from napari_sam.engine.window_pixels import read_window
from napari_sam.engine.windows import Window
from napari_sam.predictor import Predictor
from src_models.networks.mask_decoder import DecodedMasks

_BASE = 1000  # numbers survive half precision as two digits of this base


@dataclass(frozen=True)
class Blob:
    """A shape whose outline is `radius` times 1 plus some waves; without waves a disc. Pixel centres are integers."""

    y: float
    x: float
    radius: float
    waves: tuple[tuple[int, float, float], ...] = ()  # (lobes, height, phase)

    @property
    def reach(self) -> float:
        return self.radius * (1 + sum(height for _, height, _ in self.waves))

    def depth(self, ys, xs):
        """Distance to the outline at a grid, level-0 pixels, positive inside; of the first order where it waves."""
        dy, dx = np.asarray(ys, float)[:, None] - self.y, np.asarray(xs, float)[None] - self.x
        distance = np.hypot(dy, dx)
        if not self.waves:
            return self.radius - distance
        angle = np.arctan2(dy, dx)
        edge, slope = np.ones_like(angle), np.zeros_like(angle)
        for lobes, height, phase in self.waves:
            edge += height * np.cos(lobes * angle + phase)
            slope -= height * lobes * np.sin(lobes * angle + phase)
        return (self.radius * edge - distance) / np.hypot(1, slope / edge)


@dataclass
class BlobImage:
    """A lazy image of one blob, never dense, that counts the pixels it hands out."""

    blob: Blob
    shape: tuple[int, int] = (16_384, 16_384)
    noise: float = 0.0
    levels: list[tuple[int, int]] = field(default_factory=list)
    read_px: list[int] = field(default_factory=list)
    contrast_limits = (0.0, 255.0)
    channels, dtype = 1, np.dtype(np.uint8)

    def __post_init__(self):
        self.identity = repr((self.blob, self.shape, self.noise))
        if not self.levels:
            self.levels = [self.shape]
            while max(self.levels[-1]) > 512:
                self.levels.append(tuple(-(-n // 2) for n in self.levels[-1]))

    def read(self, level, y0, x0, y1, x1, step=1):
        h, w = self.levels[level]
        assert 0 <= y0 < y1 <= h
        assert 0 <= x0 < x1 <= w
        self.read_px.append((y1 - y0) * (x1 - x0))
        factor = self.shape[0] / h
        ys, xs = (np.arange(y0, y1, step) + 0.5) * factor - 0.5, (np.arange(x0, x1, step) + 0.5) * factor - 0.5
        share = np.clip(self.blob.depth(ys, xs) / factor + 0.5, 0, 1)
        grain = np.random.default_rng(y0 * 7919 + x0).normal(0, self.noise, share.shape) if self.noise else 0
        return np.clip(60 + 120 * share + grain, 0, 255).astype(np.uint8)[..., None]


class PerfectRunner:
    """Encodes a window as its place, and decodes any prompt to the truth there: distances in network pixels."""

    kind, img_size, device, dtype = "perfect", 512, torch.device("cpu"), torch.float32
    has_dense = has_judge = False
    one_window = staticmethod(nullcontext)
    window = None

    def __init__(self, blob):
        self.blob, self.encoded, self.windows = blob, 0, []

    def encode(self, images):
        self.encoded += 1
        digits = [d for n in self.window.bbox for d in divmod(n, _BASE)]
        embedding = torch.zeros(1, 1, 64, 64)
        embedding[0, 0, 0, :8] = torch.tensor(digits)
        return embedding

    def decode(self, embedding, prompts, masks=None, multimask=True, network_shape=None):
        digits = embedding[0, 0, 0, :8].round().int().tolist()
        window = Window(tuple(_BASE * a + b for a, b in zip(digits[::2], digits[1::2], strict=True)), 512)
        self.windows.append(window)
        middles = (np.arange(256) + 0.5) * 2
        ys, xs = (middles / window.scale[a] + window.bbox[a] - 0.5 for a in (0, 1))
        depth = self.blob.depth(ys, xs) * window.scale[0]
        masks = [None] * len(prompts) if masks is None else masks
        some = [self._wanted(depth, *p, m) for p, m in zip(prompts, masks, strict=True)]
        logits = np.stack([[one - 9, one, one + 9] if multimask else [one] for one in some])
        scores = torch.tensor([0.3, 0.9, 0.4] if multimask else [0.9])
        return DecodedMasks(torch.from_numpy(logits.clip(-20, 20).astype(np.float32)), scores.repeat(len(some), 1))

    def _wanted(self, depth, coords, labels, mask):
        """The blob, or what is around it."""
        corners, inside = coords[labels >= 2], coords[labels == 1]
        if len(corners) or len(inside):
            x, y = (corners.mean(0) if len(corners) else inside[0]) / 2
            hit = depth[int(np.clip(y, 0, 255)), int(np.clip(x, 0, 255))]
            return depth if hit > -1 else -depth
        if mask is None or not (mask > 0).any():
            return -depth
        return depth if np.mean(depth > 0, where=mask > 0) > 0.5 else -depth


def perfect_predictor(image, runner=None):
    """A predictor whose network makes no mistakes on a `BlobImage`."""
    runner = PerfectRunner(image.blob) if runner is None else runner

    def read_pixels(source, normalisation, window, shape=None):
        runner.window = window  # what `encode` is called with next
        return read_window(source, normalisation, window, shape)

    model = LoadedModel("perfect", runner, "perfect")
    predictor = Predictor.of(WindowPredictor(Embedder(model, read_pixels=read_pixels), tidy=True))
    predictor.set_source(image)
    return predictor


def compare(p, blob, image_shape=(16_384, 16_384), rows=500):
    """IoU of a prediction and the truth, and the largest distance of a wrong pixel from the true outline.

    Large masks are compared on evenly spread rows.
    """
    reach = int(blob.reach) + 3
    y0, x0 = max(0, min(p.bbox[0], int(blob.y) - reach)), max(0, min(p.bbox[1], int(blob.x) - reach))
    y1, x1 = (min(n, max(a, int(c) + reach)) for n, a, c in zip(image_shape, p.bbox[2:], (blob.y, blob.x), strict=True))
    ys, xs = np.arange(y0, y1, max(1, (y1 - y0) // rows)), np.arange(x0, x1)
    depth = blob.depth(ys, xs)
    found = np.zeros(depth.shape, bool)
    at = (ys >= p.bbox[0]) & (ys < p.bbox[2])
    found[at, p.bbox[1] - x0 : p.bbox[3] - x0] = p.mask[ys[at] - p.bbox[0]]
    truth = depth > 0
    wrong = np.abs(depth[found != truth])
    return (found & truth).sum() / (found | truth).sum(), float(wrong.max(initial=0))
