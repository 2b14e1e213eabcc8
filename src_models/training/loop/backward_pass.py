"""Loss and gradient of a batch of crops whose objects are prompted by simulated users."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from src_models.model_errors import DivergedError
from src_models.training.dense_targets import dense_loss
from src_models.training.loop.pictures import prediction_picture
from src_models.training.loop.prompted_batch import ClickShares, PromptedBatch
from src_models.training.losses import prompt_loss
from src_models.watershed import seeded_watershed
from src_models.watershed_settings import HYPOTHESES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from src_models.networks.dense_decoder import DenseDecoder
    from src_models.networks.promptable import PromptableNetwork
    from src_models.training.config import TrainConfig
    from src_models.training.data.crops import Crop

_MAX_PICTURES = 8


@dataclass(frozen=True)
class PassResult:
    """Result of a backward pass.

    Attributes
    ----------
    values : dict of str to float
        Numbers to log.
    embedding : Tensor
        Embedding of the crops, without gradient.
    batch : PromptedBatch
        Objects and their prompts.
    """

    values: dict[str, float]
    embedding: Tensor
    batch: PromptedBatch


class BackwardPass:
    """Prompt the objects of crops, and add the gradient of their losses.

    Parameters
    ----------
    net : PromptableNetwork
        Network to train.
    config : TrainConfig
        Recipe and loss weights.
    device : torch.device
        Device of the network.
    """

    def __init__(self, net: PromptableNetwork, config: TrainConfig, device: torch.device) -> None:
        self.net, self.config, self.device = net, config, device
        self.trains_dense = net.dense_decoder is not None and config.dense_weight > 0
        self.trains_encoder = any(p.requires_grad for p in net.image_encoder.parameters())
        self._masks_with_gradient = torch.compile(self._masks) if config.compile else self._masks

    def run(self, crops: list[Crop], rng: np.random.Generator) -> PassResult:
        """Add the gradient of a batch; the embedding is differentiated once for all rounds.

        Parameters
        ----------
        crops : list of Crop
            The batch.
        rng : numpy.random.Generator
            Source of all random choices.

        Raises
        ------
        DivergedError
            If a loss is not finite.
        """
        config, net = self.config, self.net
        images = torch.from_numpy(np.stack([c.image for c in crops])).to(self.device).permute(0, 3, 1, 2).float()
        images = ((images - net.pixel_mean) / net.pixel_std).contiguous(memory_format=torch.channels_last)
        room = (net.img_size - images.shape[-1]) // net.prompt_encoder.stride
        cell = (int(rng.integers(0, room + 1)), int(rng.integers(0, room + 1)))
        clicks = ClickShares(config.random_clicks, config.border_clicks)
        batch = PromptedBatch(crops, rng, net.prompt_encoder.stride, cell, config.recipe, clicks)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=config.bf16):
            with torch.set_grad_enabled(self.trains_encoder):
                embedding = net.encode_crop(images, cell)
            leaf = self._detached(embedding)
            dense = self._dense_round(leaf, crops, batch) if self.trains_dense else {}
            values = self._paper_rounds(leaf, batch) if batch.paper else self._quick_rounds(leaf, batch)
        if leaf.is_leaf and leaf.grad is not None:
            embedding.backward(leaf.grad)
        return PassResult(values | dense, leaf.detach(), batch)

    def pictures(self, result: PassResult, crops: list[Crop]) -> NDArray[np.uint8]:
        """Draw the prediction for the first object of up to eight crops, side by side."""
        batch = result.batch
        objects_per_crop = len(batch.truth) // len(crops)
        chosen = np.arange(0, len(batch.truth), objects_per_crop)[:_MAX_PICTURES]
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.bf16):
            logits = self._best_masks(result.embedding, batch, chosen)
        masks = (F.interpolate(logits[:, None], scale_factor=batch.pitch, mode="bilinear")[:, 0] > 0).cpu().numpy()
        drawn = [
            prediction_picture(crop.image, batch.truth[i], mask, batch.points[i])
            for crop, i, mask in zip(crops, chosen, masks, strict=False)
        ]
        return np.concatenate(drawn, axis=1)

    def _detached(self, embedding: Tensor) -> Tensor:
        """Return the embedding as a leaf that collects the gradients of all rounds."""
        return embedding.detach().requires_grad_(self.trains_encoder)

    def _dense_round(self, embedding: Tensor, crops: list[Crop], batch: PromptedBatch) -> dict[str, float]:
        """Train the dense decoder on the crops whose objects are all labelled, and add its objects to the prompts."""
        logits = cast("DenseDecoder", self.net.dense_decoder).logits(embedding).float()
        targets = {i: crop.dense for i, crop in enumerate(crops) if crop.dense is not None}
        value = float("nan")
        if targets:
            target = torch.from_numpy(np.stack(list(targets.values()))).to(self.device)
            with torch.autocast(self.device.type, enabled=False):
                loss = dense_loss(logits if len(targets) == len(crops) else logits[list(targets)], target)
            self._backward(self.config.dense_weight * len(targets) / len(crops) * loss)
            value = round(float(loss.detach()), 4)
        if self.config.hypotheses > 0:
            maps = torch.sigmoid(logits.detach()).cpu().numpy()
            scale = maps.shape[-1] / crops[0].image.shape[0]
            batch.add_hypotheses([seeded_watershed(m, HYPOTHESES, scale) for m in maps], self.config.hypotheses)
        return {"dense": value}

    def _paper_rounds(self, embedding: Tensor, batch: PromptedBatch) -> dict[str, float]:
        """Run eleven rounds for every object, each with its loss (Kirillov et al., 2023, appendix A)."""
        everything = np.arange(len(batch.truth))
        rounds = [True, *batch.paper_schedule()]
        values: dict[str, float] = {}
        for i in range(len(rounds)):
            single, target = batch.single_mask.to(self.device), batch.target.to(self.device)
            logits, predicted = self._decode(embedding, batch, everything, grad=True)
            loss, iou = prompt_loss(logits.float(), predicted.float(), target, single, self.config)
            self._backward(loss / len(rounds))
            best = torch.where(single, 0, 1 + predicted.detach()[:, 1:].argmax(1))[:, None]
            values["loss"] = round(values.get("loss", 0.0) + float(loss.detach()) / len(rounds), 4)
            values |= {"iou_1click" if i == 0 else "iou_several": _mean(iou.gather(1, best)[:, 0])}
            if i + 1 < len(rounds):
                best_logits = logits.detach().gather(1, best[..., None, None].expand(-1, -1, *logits.shape[-2:]))[:, 0]
                batch.add_corrections(everything, best_logits, click=rounds[i + 1])
        return values

    def _quick_rounds(self, embedding: Tensor, batch: PromptedBatch) -> dict[str, float]:
        """Correct some of the objects without a gradient, then run one round with its loss."""
        rounds = batch.correction_rounds()
        for done in range(int(rounds.max())):
            chosen = np.flatnonzero(rounds > done)
            batch.add_corrections(chosen, self._best_masks(embedding.detach(), batch, chosen))
        single, target = batch.single_mask.to(self.device), batch.target.to(self.device)
        logits, predicted = self._decode(embedding, batch, np.arange(len(batch.truth)), grad=True)
        loss, iou = prompt_loss(logits.float(), predicted.float(), target, single, self.config)
        self._backward(loss)
        best = predicted.detach()[:, 1:].argmax(1, keepdim=True)
        return {
            "loss": round(float(loss.detach()), 4),
            "iou_1click": _mean(iou[:, 1:].gather(1, best)[:, 0][~single]),
            "iou_oracle": _mean(iou[:, 1:].max(1).values[~single]),
            "iou_several": _mean(iou[:, 0][single]),
        }

    def _backward(self, loss: Tensor) -> None:
        """Add the gradient of a part of the loss."""
        if not torch.isfinite(loss):
            raise DivergedError(f"the loss is {float(loss.detach())}", remedy="lower the learning rate")
        if loss.requires_grad:  # False if everything that the loss depends on is frozen
            (loss / self.config.accumulate).backward()

    def _decode(
        self, embedding: Tensor, batch: PromptedBatch, objects: np.ndarray, grad: bool
    ) -> tuple[Tensor, Tensor]:
        """Decode all four masks and predicted IoUs of some objects."""
        coords, labels = batch.tokens()
        chosen = torch.from_numpy(objects)
        masks = None if batch.logits is None else batch.logits[chosen].to(self.device)
        shape = (embedding.shape[-2], embedding.shape[-1])
        inputs = [coords[chosen], labels[chosen], batch.has_mask[chosen], batch.image_index[chosen]]
        coords, labels, has_mask, image = (t.to(self.device, non_blocking=True) for t in inputs)
        with torch.set_grad_enabled(grad):
            prompt = self.net.prompt_encoder(coords, labels, masks, shape, has_mask, batch.cell)
            pe = self.net.prompt_encoder.dense_pe(shape, batch.cell)
            decode = self._masks_with_gradient if grad else self._masks
            return decode(embedding[image], pe, prompt.tokens, prompt.dense, prompt.valid)

    def _best_masks(self, embedding: Tensor, batch: PromptedBatch, objects: np.ndarray) -> Tensor:
        """Return the logits (n, S / pitch, S / pitch) of the mask that a user would see of each object."""
        logits, predicted = self._decode(embedding, batch, objects, grad=False)
        single = batch.single_mask[torch.from_numpy(objects)].to(self.device)
        best = torch.where(single, 0, 1 + predicted[:, 1:].argmax(1))
        return logits[torch.arange(len(objects), device=self.device), best].float()

    def _masks(
        self, embedding: Tensor, pe: Tensor, tokens: Tensor, dense: Tensor, valid: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        state = self.net.mask_decoder.decode_tokens(embedding, pe, tokens, dense, valid)
        return self.net.mask_decoder.upscale(state, slice(0, 4)), state.predicted_iou


def _mean(values: Tensor) -> float:
    return round(float(values.mean()), 4) if len(values) else float("nan")
