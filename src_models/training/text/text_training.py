"""Train a network to take CLIP embeddings as prompts: SAM's recipe for text, without any text.

The embedding of the picture of an object is its first prompt; rounds of simulated corrections follow. Because CLIP
embeds pictures and phrases alike, a phrase can take the place of the picture afterwards (Kirillov et al., 2023,
appendix D.5).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from src_models.model_errors import TrainingError
from src_models.networks.prompt_encoder import PromptEmbedding
from src_models.networks.text_projection import TextProjection, with_text
from src_models.settings import setting, validate
from src_models.training.config import FolderConfig, TrainConfig
from src_models.training.data.crops import Crop, CropSampler
from src_models.training.data.training_data import TrainingData
from src_models.training.loop.backward_pass import BackwardPass
from src_models.training.loop.prompted_batch import PromptedBatch
from src_models.training.loop.schedule import rate_factor
from src_models.training.losses import prompt_loss

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from src_models.networks.promptable import PromptableNetwork
    from src_models.training.text.clip_embeddings import ClipEmbedder


@dataclass(frozen=True)
class TextTraining:
    """Settings of `train_text`.

    Attributes
    ----------
    steps : int
        Optimiser steps.
    batch, objects : int
        Crops of a step, and objects of a crop.
    crop_px : int
        Side of a crop, in pixels of the network's input.
    learning_rate : float
        Peak rate of the projection.
    decoder_rate : float
        Peak rate of the mask decoder and the prompt encoder; 0 keeps them fixed. The image encoder stays fixed.
    rounds : int
        Rounds of an object: the embedding alone, then with clicks where the mask is wrong.
    min_object_px : int
        Smallest area of an object that gives an embedding, in pixels of the network's input.
    seed : int
        Seed of all random choices.
    """

    steps: int = setting(2000, "optimiser steps", low=1)
    batch: int = setting(4, "crops of a step", low=1)
    objects: int = setting(4, "objects of a crop", low=1)
    crop_px: int = setting(256, "side of a crop", low=32, unit="px")
    learning_rate: float = setting(1e-3, "peak learning rate of the projection", low=0, above=True)
    decoder_rate: float = setting(1e-4, "peak learning rate of the mask decoder; 0 keeps it", low=0)
    rounds: int = setting(3, "rounds of corrections, with the first", low=1, high=11)
    min_object_px: int = setting(1024, "smallest area of an object", low=16, unit="px")
    seed: int = setting(0, "random seed", low=0)

    def __post_init__(self) -> None:
        """Check every value."""
        validate(self, TrainingError)


class _TextBatch(PromptedBatch):
    """Objects whose first prompt is an embedding: no point and no box."""

    def start_without_points(self) -> None:
        """Take back the first prompts."""
        self.points = [[] for _ in self.points]
        self.boxes = [None for _ in self.boxes]

    @property
    def single_mask(self) -> Tensor:
        """Objects with more than one prompt, (N,) bool; the embedding is one."""
        return torch.tensor([bool(points) for points in self.points])


class _TextPass(BackwardPass):
    """Forward and backward pass with a text token before the other prompts."""

    projection: TextProjection
    embeddings: Tensor

    def rounds(self, crops: list[Crop], embeddings: Tensor, count: int, rng: np.random.Generator) -> dict[str, float]:
        """Add the gradient of all rounds of a batch; return loss and IoU by the embedding alone."""
        net = self.net
        self.embeddings = embeddings
        images = torch.from_numpy(np.stack([c.image for c in crops])).to(self.device).permute(0, 3, 1, 2).float()
        with torch.no_grad():
            embedding = net.encode_crop((images - net.pixel_mean) / net.pixel_std, (0, 0))
        batch = _TextBatch(crops, rng, net.prompt_encoder.stride, (0, 0), "paper")
        batch.start_without_points()
        everything = np.arange(len(batch.truth))
        values = {"loss": 0.0}
        for i in range(count):
            target, single = batch.target.to(self.device), batch.single_mask.to(self.device)
            logits, predicted = self._decode(embedding, batch, everything, grad=True)
            loss, iou = prompt_loss(logits.float(), predicted.float(), target, single, self.config)
            self._backward(loss / count)
            best = torch.where(single, 0, 1 + predicted.detach()[:, 1:].argmax(1))[:, None]
            values["loss"] += float(loss.detach()) / count
            if i == 0:
                values["iou_text"] = float(iou.gather(1, best).mean())
            if i + 1 < count:
                shape = (-1, -1, *logits.shape[-2:])
                seen = logits.detach().gather(1, best[..., None, None].expand(*shape))[:, 0]
                batch.add_corrections(everything, seen)
        return {name: round(value, 4) for name, value in values.items()}

    def _masks(
        self, embedding: Tensor, pe: Tensor, tokens: Tensor, dense: Tensor, valid: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        prompt = with_text(PromptEmbedding(tokens, valid, dense), self.projection(self.embeddings))
        return super()._masks(embedding, pe, prompt.tokens, prompt.dense, prompt.valid)


def train_text(
    net: PromptableNetwork,
    clip: ClipEmbedder,
    data: Path,
    settings: TextTraining | None = None,
    progress: Callable[[int, int, dict[str, float]], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> TextProjection:
    """Train a projection of CLIP's embeddings, and the mask decoder with it.

    Parameters
    ----------
    net : PromptableNetwork
        The network, changed in place unless `decoder_rate` is 0.
    clip : ClipEmbedder
        Gives the embeddings; stays fixed.
    data : Path
        Folder of labelled images, as for ``train finetune``; no classes are needed.
    settings : TextTraining, optional
        Sizes and rates.
    progress : callable, optional
        Called with step, steps and the values of the step.
    cancelled : callable, optional
        Called after each step; return True to stop with what was learned.

    Returns
    -------
    TextProjection

    Raises
    ------
    TrainingError
        If there is no data, or no object is large enough.
    DivergedError
        If a loss is not finite.
    """
    chosen = settings or TextTraining()
    torch.manual_seed(chosen.seed)
    config = TrainConfig(
        folders=(FolderConfig("."),), steps=chosen.steps, batch=chosen.batch, objects=chosen.objects,
        crop_px=chosen.crop_px, synthetic_weight=0.0, recipe="paper", dense_weight=0.0, accumulate=1, bf16=False,
        warmup_steps=min(50, chosen.steps // 4),
    )  # fmt: skip
    sampler = CropSampler(TrainingData.read(config, data).folders, config, net.img_size)
    projection = TextProjection(clip.width, net.prompt_encoder.width)
    net.eval().requires_grad_(False)
    groups = [{"params": list(projection.parameters()), "lr": chosen.learning_rate}]
    if chosen.decoder_rate > 0:
        decoder = [*net.mask_decoder.parameters(), *net.prompt_encoder.mask_downscaling.parameters()]
        for parameter in decoder:
            parameter.requires_grad_(True)
        groups.append({"params": decoder, "lr": chosen.decoder_rate})
    optimizer = torch.optim.AdamW(groups)
    peaks = [float(group["lr"]) for group in optimizer.param_groups]
    backward = _TextPass(net, config, torch.device("cpu"))
    backward.projection = projection
    for step in range(chosen.steps):
        rng = np.random.default_rng([chosen.seed, step])
        crops = [_with_large_objects(sampler, chosen, rng) for _ in range(chosen.batch)]
        embeddings = torch.cat([clip.embed_objects(crop.image, crop.masks, rng) for crop in crops])
        optimizer.zero_grad()
        values = backward.rounds(crops, embeddings, chosen.rounds, rng)
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * rate_factor(step, config)
        optimizer.step()
        if progress is not None:
            progress(step + 1, chosen.steps, values)
        if cancelled is not None and cancelled():
            break
    net.requires_grad_(False)
    return projection.eval()


def _with_large_objects(sampler: CropSampler, settings: TextTraining, rng: np.random.Generator) -> Crop:
    """Draw a crop, with objects that are large enough only; repeated to their number."""
    for _ in range(50):
        crop = sampler.draw(rng)
        large = np.flatnonzero(crop.masks.sum((1, 2)) >= settings.min_object_px)
        if len(large):
            return replace(crop, masks=crop.masks[np.resize(large, settings.objects)])
    raise TrainingError(
        f"none of 50 crops shows an object of {settings.min_object_px} px",
        parameter="min_object_px",
        remedy="lower {min_object_px}",
    )
