"""A toy CLIP that is trained in the test to tell colours: "red" from "blue"."""

from __future__ import annotations

import numpy as np
import torch

from src_models.training.text.clip_embeddings import ClipEmbedder
from tests.text.tiny_models import VISION, clip_text, clip_tokenizer

COLOURS = {"red": (210, 40, 40), "blue": (40, 60, 220)}
MEAN = STD = (0.5, 0.5, 0.5)


def paint(colour, rng, side=32):
    """Draw a rectangle of a colour on grey, with noise; return the picture and its mask."""
    picture = np.full((side, side, 3), rng.integers(60, 180), np.uint8)
    y0, x0 = rng.integers(0, side // 3, 2)
    y1, x1 = rng.integers(side // 2, side, 2)
    picture[y0:y1, x0:x1] = COLOURS[colour]
    mask = np.zeros((side, side), bool)
    mask[y0:y1, x0:x1] = True
    return np.clip(picture + rng.normal(0, 8, picture.shape), 0, 255).astype(np.uint8), mask


def train_toy_clip(steps=80):
    """Train a CLIP on colours by its contrastive loss; return it with its tokenizer."""
    from transformers import CLIPConfig, CLIPModel

    torch.manual_seed(0)
    tokenizer = clip_tokenizer()
    network = CLIPModel(CLIPConfig(text_config=clip_text(tokenizer), vision_config=VISION, projection_dim=16))
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3)
    rng = np.random.default_rng(0)
    words = tokenizer(list(COLOURS), padding=True, return_tensors="pt")
    for _ in range(steps):
        answers = rng.integers(0, 2, 16)
        pictures = np.stack([paint(list(COLOURS)[a], rng)[0] for a in answers])
        pixels = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
        logits = network(pixel_values=pixels, **words).logits_per_image
        loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(answers))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network.eval(), tokenizer


def toy_embedder(network, tokenizer):
    """Return the toy CLIP as the embedder of training."""
    return ClipEmbedder(network, tokenizer, MEAN, STD)


def write_pictures(folder, count=6, side=128):
    """Write labelled pictures with a red and a blue rectangle each."""
    import tifffile
    from PIL import Image

    rng = np.random.default_rng(1)
    for i in range(count):
        image, labels = scene(rng, side)
        Image.fromarray(image).save(folder / f"{i}.image.png")
        tifffile.imwrite(folder / f"{i}.labels.tif", labels)


def scene(rng, side=128):
    """Draw a red and a blue rectangle side by side, in either order; label 1 is red, label 2 blue."""
    image = np.full((side, side, 3), rng.integers(60, 180), np.uint8)
    labels = np.zeros((side, side), np.uint16)
    for label, left in zip(rng.permutation([1, 2]), (0, side // 2), strict=True):
        y0, x0 = rng.integers(4, side // 6, 2)
        y1, x1 = rng.integers(2 * side // 3, side - 4), rng.integers(side // 3, side // 2 - 4)
        image[y0:y1, left + x0 : left + x1] = list(COLOURS.values())[label - 1]
        labels[y0:y1, left + x0 : left + x1] = label
    return np.clip(image + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8), labels
