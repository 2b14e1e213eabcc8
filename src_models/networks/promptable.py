"""What all promptable networks have in common: preprocessing, encoding, and decoding of many prompts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from src_models.input_size import InputSize

if TYPE_CHECKING:
    from src_models.networks.mask_decoder import DecodedMasks, MaskDecoder
    from src_models.networks.mask_judge import MaskJudge
    from src_models.networks.prompt_encoder import PromptEncoder
    from src_models.networks.quality_head import QualityHead

PIXEL_MEAN = (123.675, 116.28, 103.53)
PIXEL_STD = (58.395, 57.12, 57.375)


class PromptableNetwork(nn.Module, ABC):
    """Network of image encoder, prompt encoder and mask decoder.

    Parameters
    ----------
    kind : str
        Name of the architecture, as `build_network` takes it.

    Attributes
    ----------
    image_encoder : nn.Module
        Image encoder.
    prompt_encoder : PromptEncoder
        Prompt encoder; its `img_size` is that of the network.
    mask_decoder : MaskDecoder
        Mask decoder.
    dense_decoder : nn.Module or None
        Decoder that finds all objects of a window at once; the default model has one.
    quality_head : QualityHead or None
        Predicts the IoU from the masks, in place of the mask decoder; only checkpoints calibrated by version 0.1 or 0.2
        have one.
    mask_judge : MaskJudge or None
        Predicts the IoU from the masks and the image, in place of mask decoder and quality head.
    """

    pixel_mean: Tensor
    pixel_std: Tensor
    image_encoder: nn.Module
    prompt_encoder: PromptEncoder
    mask_decoder: MaskDecoder

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.dense_decoder: nn.Module | None = None
        self.quality_head: QualityHead | None = None
        self.mask_judge: MaskJudge | None = None
        self.register_buffer("pixel_mean", torch.tensor(PIXEL_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(PIXEL_STD).view(3, 1, 1), persistent=False)

    @property
    def img_size(self) -> InputSize:
        """Side of the network's input, in pixels."""
        return InputSize(self.prompt_encoder.img_size)

    def preprocess(self, image: Tensor) -> Tensor:
        """Normalise an RGB image in 0...255, (B, 3, H, W), and zero-pad it to the network's square.

        As in SAM, the padding follows the normalisation, at the bottom and right.
        """
        x = (image.to(self.pixel_mean.dtype) - self.pixel_mean) / self.pixel_std
        h, w = x.shape[-2:]
        return nn.functional.pad(x, (0, self.img_size - w, 0, self.img_size - h))

    def embed(self, image: Tensor) -> Tensor:
        """Embed preprocessed images, (B, 3, S, S), for `decode`: (B, C, h, w)."""
        embedding: Tensor = self.image_encoder(image)
        return embedding

    @abstractmethod
    def encode_crop(self, crop: Tensor, cell: tuple[int, int]) -> Tensor:
        """Embed a normalised crop, (B, 3, H, W), of the network's square input at `cell` (y, x) of its grid."""

    def decode(
        self,
        embedding: Tensor,
        coords: Tensor,
        labels: Tensor,
        masks: Tensor | None = None,
        multimask: bool = True,
    ) -> DecodedMasks:
        """Decode N prompts on one image, or on N images.

        Parameters
        ----------
        embedding : Tensor
            (1, C, h, w) or (N, C, h, w) from `embed`.
        coords, labels, masks
            As in `PromptEncoder.forward`.
        multimask : bool
            Return three masks for each prompt, or one.
        """
        shape = (embedding.shape[-2], embedding.shape[-1])
        prompt = self.prompt_encoder(coords, labels, masks, shape)
        decoded: DecodedMasks = self.mask_decoder(
            embedding,
            self.prompt_encoder.dense_pe(shape),
            prompt.tokens,
            prompt.dense,
            prompt.valid,
            multimask,
        )
        return decoded
