"""A predictor with a network of no size, for tests of what is around the network.

Run as a script, ``tiny.py IMAGE FOLDER [SECONDS]``, it precomputes an image, each window taking a while.
"""

from __future__ import annotations

import sys
import time
from contextlib import nullcontext

import numpy as np
import torch

from napari_sam.engine.embeddings.embedder import Embedder
from napari_sam.engine.embeddings.embedding_cache import EmbeddingCache
from napari_sam.engine.interactive.window_predictor import WindowPredictor
from napari_sam.engine.loaded_model import LoadedModel
from napari_sam.engine.window_pixels import read_window
from napari_sam.predictor import Predictor
from src_models.networks.mask_decoder import DecodedMasks


class TinyRunner:
    """Encodes a window as the means and extremes of its cells: (1, 3, 16, 16)."""

    kind, img_size, device = "tiny", 64, torch.device("cpu")
    has_dense, has_judge = True, False
    one_window = staticmethod(nullcontext)

    def __init__(self, dtype=torch.float32, seconds=0.0):
        self.dtype, self.seconds, self.encoded = dtype, seconds, 0

    def encode(self, images):
        time.sleep(self.seconds)
        self.encoded += len(images)
        out = []
        for image in images:
            padded = torch.zeros(1, 1, 64, 64)
            padded[0, 0, : image.shape[0], : image.shape[1]] = torch.from_numpy(image[..., 0].astype(np.float32))
            pooled = [torch.nn.functional.avg_pool2d(padded, 4) / 7]
            pooled += [s * torch.nn.functional.max_pool2d(s * padded, 4) for s in (1, -1)]
            out.append(torch.cat(pooled, 1))
        return torch.cat(out).to(self.dtype)

    def dense(self, embedding):
        grey = embedding[0, :1].float() / embedding.float().abs().max().clamp(min=1)
        return torch.cat([grey, 1 - grey, 1 - grey])

    def decode(self, embedding, prompts, masks=None, multimask=True, *_):
        count = 3 if multimask else 1
        logits = torch.full((len(prompts), count, 64, 64), -9.0)
        logits[..., 30:34, 30:34] = 9.0  # never cut by the window
        return DecodedMasks(logits, torch.full((len(prompts), count), 0.9))


def tiny_predictor(
    store=None, weights="tiny", hypotheses=False, name="tiny", runner=None, read_pixels=read_window, **options
):
    """A predictor around a `TinyRunner`, which takes the `options`, or around another runner."""
    model = LoadedModel(name, TinyRunner(**options) if runner is None else runner, weights)
    embedder = Embedder(model, EmbeddingCache(store=store), hypotheses=hypotheses, read_pixels=read_pixels)
    return Predictor.of(WindowPredictor(embedder))


def main(image, folder, seconds="0"):
    from napari_sam.engine.embeddings.precompute import precompute
    from napari_sam.io.embedding_store import ZarrEmbeddingStore

    predictor = tiny_predictor(ZarrEmbeddingStore(folder), hypotheses=True, seconds=float(seconds))
    predictor.set_image(image)
    report = precompute(predictor, progress=lambda done, _: print(done, flush=True))
    print("encoded", report.encoded)


if __name__ == "__main__":
    main(*sys.argv[1:])
