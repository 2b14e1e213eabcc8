"""SAM 2 as a whole: an image model like the others, and the parts that follow an object through a video."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from src_models.input_size import InputSize
from src_models.model_errors import UnknownModelError
from src_models.networks.layers import MLP
from src_models.networks.promptable import PromptableNetwork
from src_models.networks.sam2.config import (
    MEMORY_FRAMES,
    MEMORY_WIDTH,
    SAM2_KINDS,
    WIDTH,
    Sam2Config,
)
from src_models.networks.sam2.hiera import PATCH
from src_models.networks.sam2.image_encoder import Sam2ImageEncoder
from src_models.networks.sam2.mask_decoder import Sam2MaskDecoder, Sam2PromptEncoder, pack
from src_models.networks.sam2.memory_attention import MemoryAttention
from src_models.networks.sam2.memory_encoder import MemoryEncoder


class Sam2(PromptableNetwork):
    """SAM 2 with the official state-dict keys (Ravi et al., 2024, "SAM 2: Segment Anything in Images and Videos").

    Parameters
    ----------
    config : Sam2Config
        Size of the network.
    kind : str
        Name of the architecture, as `build_sam2` takes it.
    """

    image_encoder: Sam2ImageEncoder
    mask_decoder: Sam2MaskDecoder

    def __init__(self, config: Sam2Config, kind: str) -> None:
        super().__init__(kind)
        self.config = config
        self.image_encoder = Sam2ImageEncoder(config)
        self.sam_prompt_encoder = Sam2PromptEncoder(config.img_size)
        self.sam_mask_decoder = Sam2MaskDecoder()
        self.memory_attention = MemoryAttention()
        self.memory_encoder = MemoryEncoder()
        self.mask_downsample = nn.Conv2d(1, 1, 4, 4)
        self.obj_ptr_proj = MLP(WIDTH, WIDTH, WIDTH, 3)
        self.maskmem_tpos_enc = nn.Parameter(torch.zeros(MEMORY_FRAMES, 1, 1, MEMORY_WIDTH))
        self.no_mem_embed = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.no_mem_pos_enc = nn.Parameter(torch.zeros(1, 1, WIDTH))  # unused, but part of every checkpoint
        self.no_obj_ptr = nn.Parameter(torch.zeros(1, WIDTH))
        self.obj_ptr_tpos_proj: nn.Linear | None = None
        self.no_obj_embed_spatial: nn.Parameter | None = None
        if not config.is_first_version:
            self.obj_ptr_tpos_proj = nn.Linear(WIDTH, MEMORY_WIDTH)
            self.no_obj_embed_spatial = nn.Parameter(torch.zeros(1, MEMORY_WIDTH))
        # Second names for two parts, outside of the modules, so that the keys stay the official ones.
        self.__dict__["prompt_encoder"] = self.sam_prompt_encoder
        self.__dict__["mask_decoder"] = self.sam_mask_decoder

    @property
    def img_size(self) -> InputSize:
        """Side of the network's input, in pixels."""
        return InputSize(self.prompt_encoder.img_size, stretches=True)

    def preprocess(self, image: Tensor) -> Tensor:
        """Stretch an RGB image in 0...255, (B, 3, H, W), to the network's square and normalise it.

        As the official image predictor does: bilinear with antialiasing, in floating point. (Frames of a video are
        resized before, see `network_pixels`.)
        """
        side = int(self.img_size)
        x = image.to(self.pixel_mean.dtype)
        if x.shape[-2:] != (side, side):
            x = functional.interpolate(x, (side, side), mode="bilinear", antialias=True, align_corners=False)
        return super().preprocess(x)

    def embed(self, image: Tensor) -> Tensor:
        """Embed preprocessed images without a memory, (B, 3, S, S), for `decode`: packed, (B, 1024, h, w)."""
        packed = self.embed_frame(image)
        packed[:, :WIDTH] += self.no_mem_embed.view(1, WIDTH, 1, 1).to(packed.dtype)
        return packed

    def encode_crop(self, crop: Tensor, cell: tuple[int, int]) -> Tensor:
        """Embed a normalised crop, (B, 3, H, W), of the network's square input at `cell` (y, x): packed, as `embed`."""
        per_cell = self.image_encoder.stride // PATCH
        packed = self.embed_frame(crop, (cell[0] * per_cell, cell[1] * per_cell))
        no_memory = self.no_mem_embed.view(1, WIDTH, 1, 1).to(packed.dtype)
        return torch.cat([packed[:, :WIDTH] + no_memory, packed[:, WIDTH:]], dim=1)

    def embed_frame(self, image: Tensor, origin: tuple[int, int] | None = None) -> Tensor:
        """Embed preprocessed frames of a video, (B, 3, S, S), as the memory needs them: packed, (B, 1024, h, w).

        `origin` as in `Hiera.forward`.
        """
        encoder, decoder = self.image_encoder, self.sam_mask_decoder
        stages = encoder.trunk(image, origin)
        half = encoder.fine(stages, 1, decoder.conv_s1)
        quarter = encoder.fine(stages, 0, decoder.conv_s0)
        return pack(encoder.neck.coarse(stages), half, quarter)


def build_sam2(kind: str = "sam2.1_tiny") -> Sam2:
    """Build a SAM 2 network with fresh weights, in evaluation mode.

    Parameters
    ----------
    kind : str
        "sam2.1_tiny", "sam2.1_small", "sam2.1_base_plus" or "sam2.1_large"; "sam2_tiny" and so on for SAM 2.0.

    Raises
    ------
    UnknownModelError
        If there is no such architecture.
    """
    if kind not in SAM2_KINDS:
        raise UnknownModelError(f"kind is {kind!r}", parameter="kind", remedy=f"choose one of {', '.join(SAM2_KINDS)}")
    return Sam2(SAM2_KINDS[kind], kind).eval()
