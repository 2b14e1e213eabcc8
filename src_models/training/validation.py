"""Quick score on data that is never trained on, to show when a run stops improving."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional as F

from src_models.networks.prompt_encoder import BOTTOM_RIGHT, POSITIVE, TOP_LEFT, pad_prompts
from src_models.training.data.crops import Crop, CropSampler
from src_models.training.losses import mask_iou
from src_models.training.prompt_simulation import deepest_point

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from src_models.networks.promptable import PromptableNetwork
    from src_models.training.config import TrainConfig
    from src_models.training.data.labelled_images import LabelledImage

_CROPS = 16  # of each data set


class Validation:
    """Fixed crops of data sets, in which each object is prompted by a click and by its box.

    Parameters
    ----------
    sets : sequence of sequence of LabelledImage
        The data sets, of equal weight.
    config : TrainConfig
        Size of the crops and objects per crop.
    img_size : int
        Side of the network's input.
    """

    def __init__(self, sets: Sequence[Sequence[LabelledImage]], config: TrainConfig, img_size: int) -> None:
        self.bf16 = config.bf16
        self.sets: list[list[Crop]] = []
        for i, pairs in enumerate(sets):
            sampler = CropSampler([(1.0, pairs)], config, img_size, plain=True)
            self.sets.append([sampler.draw(np.random.default_rng([config.seed, 2, i, k])) for k in range(_CROPS)])

    @torch.no_grad()
    def score(self, net: PromptableNetwork) -> dict[str, float]:
        """Return the mean over data sets of the mean IoU per object.

        Returns
        -------
        dict of str to float
            ``iou_1click`` and ``iou_oracle`` (top-scored and best of three after a click at the deepest pixel),
            ``iou_box`` (single mask), and ``iou_error``, the mean absolute error of the predicted IoU.
        """
        rows = [torch.cat([self._crop(net, crop) for crop in crops]).mean(0) for crops in self.sets]
        mean = torch.stack(rows).mean(0).tolist()
        names = ("iou_1click", "iou_oracle", "iou_box", "iou_error")
        return {name: round(value, 4) for name, value in zip(names, mean, strict=True)}

    def _crop(self, net: PromptableNetwork, crop: Crop) -> Tensor:
        """Return the scores (N, 4) of the objects of a crop."""
        device = net.pixel_mean.device
        image = torch.from_numpy(crop.image).to(device).permute(2, 0, 1)[None].float()
        image = ((image - net.pixel_mean) / net.pixel_std).contiguous(memory_format=torch.channels_last)
        clicks, boxes = [], []
        for mask in crop.masks:
            y, x = deepest_point(mask)
            clicks.append((torch.tensor([[float(x), float(y)]]), torch.tensor([POSITIVE])))
            rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            corners = [[cols[0], rows[0]], [cols[-1] + 1, rows[-1] + 1]]
            boxes.append((torch.tensor(np.array(corners, np.float32)), torch.tensor([TOP_LEFT, BOTTOM_RIGHT])))
        target = torch.from_numpy(crop.masks).to(device)[:, None].float()
        scores = []
        with torch.autocast(device.type, torch.bfloat16, enabled=self.bf16):
            embedding = net.encode_crop(image, (0, 0))
            for prompts in (clicks, boxes):
                coords, labels = (t.to(device) for t in pad_prompts(prompts))
                shape = (embedding.shape[-2], embedding.shape[-1])
                prompt = net.prompt_encoder(coords, labels, None, shape)
                pe = net.prompt_encoder.dense_pe(shape)
                state = net.mask_decoder.decode_tokens(embedding, pe, prompt.tokens, prompt.dense, prompt.valid)
                logits = net.mask_decoder.upscale(state, slice(0, 4)).float()
                large = F.interpolate(logits, size=crop.masks.shape[-2:], mode="bilinear")
                iou = mask_iou(large, target.expand_as(large))
                scores.append((iou, state.predicted_iou.float()))
        iou, predicted = scores[0]
        best = 1 + predicted[:, 1:].argmax(1, keepdim=True)
        click, expected = iou.gather(1, best)[:, 0], predicted.gather(1, best)[:, 0].clamp(0, 1)
        return torch.stack([click, iou[:, 1:].max(1).values, scores[1][0][:, 0], (expected - click).abs()], dim=1)
