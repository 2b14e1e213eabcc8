"""SAM: image encoder, prompt encoder and mask decoder, and builders for every architecture of that kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from src_models.model_errors import UnknownModelError
from src_models.networks.dense_decoder import DenseDecoder
from src_models.networks.efficient_fpn import EfficientFPN
from src_models.networks.image_encoder import ImageEncoderViT, ViTConfig
from src_models.networks.mask_decoder import MaskDecoder
from src_models.networks.prompt_encoder import PromptEncoder
from src_models.networks.promptable import PromptableNetwork
from src_models.networks.tiny_vit import TinyViT

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn


class Sam(PromptableNetwork):
    """Promptable segmentation network with the official state-dict keys of SAM.

    Parameters
    ----------
    image_encoder : nn.Module
        With attributes ``img_size`` and ``stride`` (pixels).
    prompt_encoder : PromptEncoder
        Prompt encoder of the same size and stride.
    mask_decoder : MaskDecoder
        Mask decoder.
    kind : str
        Name of the architecture, as `build_sam` takes it.
    dense_decoder : DenseDecoder, optional
        Decoder that finds all objects of a window at once; the default model has one.
    """

    def __init__(
        self,
        image_encoder: nn.Module,
        prompt_encoder: PromptEncoder,
        mask_decoder: MaskDecoder,
        kind: str,
        dense_decoder: DenseDecoder | None = None,
    ) -> None:
        super().__init__(kind)
        self.image_encoder = image_encoder
        self.prompt_encoder = prompt_encoder
        self.mask_decoder = mask_decoder
        self.dense_decoder = dense_decoder

    def encode_crop(self, crop: Tensor, cell: tuple[int, int]) -> Tensor:
        """Embed a normalised crop, (B, 3, H, W), of the network's square input at `cell` (y, x) of its grid."""
        encoder = self.image_encoder
        whole = crop.shape[-2:] == (self.img_size, self.img_size)
        if isinstance(encoder, ImageEncoderViT) and not whole:
            return encoder(crop, cell)  # type: ignore[no-any-return]
        out: Tensor = encoder(crop)
        return out


def _vit(kind: str, config: ViTConfig) -> Sam:
    encoder = ImageEncoderViT(config)
    return Sam(encoder, PromptEncoder(config.img_size, config.patch), MaskDecoder(), kind)


def _vit_b() -> Sam:
    return _vit("vit_b", ViTConfig())


def _vit_l() -> Sam:
    return _vit("vit_l", ViTConfig(1024, 24, 16, (5, 11, 17, 23)))


def _vit_h() -> Sam:
    return _vit("vit_h", ViTConfig(1280, 32, 16, (7, 15, 23, 31)))


def _vit_t() -> Sam:
    encoder = TinyViT()
    return Sam(encoder, PromptEncoder(encoder.img_size, encoder.stride), MaskDecoder(), "vit_t")


def _default() -> Sam:
    encoder = EfficientFPN()
    prompts = PromptEncoder(encoder.img_size, encoder.stride, click_map=True)
    return Sam(encoder, prompts, MaskDecoder(), "default", DenseDecoder())


BUILDERS: dict[str, Callable[[], Sam]] = {
    "default": _default,
    "vit_t": _vit_t,
    "vit_b": _vit_b,
    "vit_l": _vit_l,
    "vit_h": _vit_h,
}


def build_sam(kind: str = "default", dense: bool | None = None) -> Sam:
    """Build a network with fresh weights, in evaluation mode.

    Parameters
    ----------
    kind : {"default", "vit_t", "vit_b", "vit_l", "vit_h"}
        Architecture; ``vit_t`` is that of MobileSAM.
    dense : bool, optional
        Add a `DenseDecoder`; by default only the default model has one.

    Raises
    ------
    UnknownModelError
        If there is no such architecture.
    """
    if kind not in BUILDERS:
        remedy = f"choose one of {', '.join(BUILDERS)}, or use build_sam2 for a SAM 2 network"
        raise UnknownModelError(f"kind is {kind!r}", parameter="kind", remedy=remedy)
    net = BUILDERS[kind]()
    if dense is not None and dense != (net.dense_decoder is not None):
        net.dense_decoder = DenseDecoder() if dense else None
    return net.eval()
