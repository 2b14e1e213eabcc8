"""Masked autoencoders: an image encoder learns from images without labels by reconstructing hidden patches.

A transformer receives only the visible patches (He et al., 2022, "Masked Autoencoders Are Scalable Vision Learners").
An encoder with convolutions cannot skip patches, so a learned colour covers the hidden ones (Xie et al., 2022, "SimMIM:
a Simple Framework for Masked Image Modeling"). Both predict an image of normalised pixels, and have the same loss,
`masked_loss`. `src_models.training.pretraining.pretrainer` has the training loop.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from src_models.model_errors import TrainingError
from src_models.networks.image_encoder import ImageEncoderViT
from src_models.networks.layers import FeedForward

if TYPE_CHECKING:
    import numpy as np

    from src_models.networks.image_encoder import ViTBlock
    from src_models.networks.sam import Sam
    from src_models.training.pretraining.pretrain_config import PretrainConfig

_EMBEDDING = 256  # channels of every encoder's embedding
_COARSEST_PX = 32  # stride of the deepest stage of the encoders with convolutions
_NOISE = 2 / 255  # standard deviation of camera noise in a patch, for pixels in 0 ... 1


def draw_masks(count: int, shape: tuple[int, int], ratio: float, rng: np.random.Generator) -> Tensor:
    """Draw the patches to hide: the same number in each image, at random positions.

    Parameters
    ----------
    count : int
        Number of images B.
    shape : (int, int)
        Patches (h, w) of an image, at least two.
    ratio : float
        Share of hidden patches; rounded to whole patches, at least one and never all.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    Tensor
        (B, h, w) bool, True where hidden.

    Examples
    --------
    >>> import numpy as np
    >>> int(draw_masks(1, (4, 4), 0.75, np.random.default_rng(0)).sum())
    12
    """
    patches = shape[0] * shape[1]
    hidden = min(max(round(ratio * patches), 1), patches - 1)
    order = rng.random((count, patches)).argsort(1).argsort(1)
    return torch.from_numpy(order < hidden).view(count, *shape)


def normalised_patches(images: Tensor, side: int) -> tuple[Tensor, Tensor, Tensor]:
    """Cut images into patches and give each mean 0 and variance 1: MAE's "norm_pix" target.

    MAE's code normalises pixels to which the mean and deviation of ImageNet have been applied, and adds 1e-6 to the
    variance. In a dark patch of a grey image, the resulting difference between colours is all that remains, and
    predicting it is half of the loss. Here, all colours have the same scale, and the variance of noise is added.

    Parameters
    ----------
    images : Tensor
        (B, 3, H, W), RGB in 0 ... 1.
    side : int
        Side of a patch, in pixels; divides H and W.

    Returns
    -------
    patches : Tensor
        (B, 3 * side**2, H / side, W / side), the pixels of a patch in the order of `pixel_unshuffle`.
    mean, deviation : Tensor
        (B, 1, H / side, W / side), over all pixels and colours of a patch, from the unbiased variance; they convert
        the patches back to `images`.
    """
    patches = F.pixel_unshuffle(images, side)
    mean = patches.mean(1, keepdim=True)
    deviation = (patches.var(1, keepdim=True) + _NOISE**2).sqrt()
    return (patches - mean) / deviation, mean, deviation


def masked_loss(predicted: Tensor, images: Tensor, mask: Tensor) -> Tensor:
    """Compute the mean squared error of hidden patches (He et al., 2022, section 3, and "norm_pix_loss" in the code).

    Parameters
    ----------
    predicted : Tensor
        (B, 3, H, W), pixels normalised by patch.
    images : Tensor
        (B, 3, H, W), the truth as RGB in 0 ... 1, not yet normalised by patch.
    mask : Tensor
        (B, h, w) bool; a patch has H / h pixels on a side.

    Returns
    -------
    Tensor
        Scalar; 1 at most for a prediction of zero.
    """
    side = images.shape[-1] // mask.shape[-1]
    wanted, _, _ = normalised_patches(images, side)
    error = (F.pixel_unshuffle(predicted, side) - wanted).square().mean(1)  # (B, h, w)
    return (error * mask).sum() / mask.sum()


def reconstruction(predicted: Tensor, images: Tensor, mask: Tensor) -> Tensor:
    """Insert the prediction into the hidden patches, with their true mean and deviation.

    Mean and deviation are not predicted, so the picture shows structure, not brightness.

    Parameters
    ----------
    predicted, images, mask : Tensor
        As in `masked_loss`.

    Returns
    -------
    Tensor
        (B, 3, H, W), on the scale of `images`; predictions may lie outside 0 ... 1.
    """
    side = images.shape[-1] // mask.shape[-1]
    _, mean, deviation = normalised_patches(images, side)
    filled = F.pixel_shuffle(F.pixel_unshuffle(predicted, side) * deviation + mean, side)
    return torch.where(to_pixels(mask, side), filled, images)


def to_pixels(mask: Tensor, side: int) -> Tensor:
    """Spread a mask of patches (B, h, w) over pixels (B, 1, h * side, w * side)."""
    return mask.repeat_interleave(side, 1).repeat_interleave(side, 2)[:, None]


def sincos_positions(height: int, width: int, channels: int) -> Tensor:
    """Compute a fixed position embedding: sines and cosines of y, then of x (Vaswani et al., 2017, in 2D).

    Parameters
    ----------
    height, width : int
        Size of the grid.
    channels : int
        A multiple of 4; each quarter has its own wavelengths from 2 pi to 10000 * 2 pi.

    Returns
    -------
    Tensor
        (1, height, width, channels) float32.

    Examples
    --------
    >>> sincos_positions(1, 2, 4)[0, 0, :, 2:].round(decimals=2)
    tensor([[0.0000, 1.0000],
            [0.8400, 0.5400]])
    """
    quarter = channels // 4
    frequency = 10000.0 ** (-torch.arange(quarter, dtype=torch.float64) / quarter)
    y, x = (torch.arange(n, dtype=torch.float64)[:, None] * frequency for n in (height, width))  # (n, C / 4)
    rows = torch.cat([y.sin(), y.cos()], 1)[:, None].expand(-1, width, -1)
    columns = torch.cat([x.sin(), x.cos()], 1)[None].expand(height, -1, -1)
    return torch.cat([rows, columns], 2)[None].float()


def attend(x: Tensor, qkv: nn.Linear, proj: nn.Linear, heads: int) -> Tensor:
    """Compute the self-attention of tokens (B, N, C), which need not form a grid."""
    b, n, c = x.shape
    q, k, v = qkv(x).view(b, n, 3, heads, c // heads).permute(2, 0, 3, 1, 4).unbind(0)  # (B, nh, N, hs)
    out = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, c)
    projected: Tensor = proj(out)
    return projected


class DecoderBlock(nn.Module):
    """Transformer block without windows and relative positions."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = FeedForward(width, 4 * width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, N, C) to the same shape."""
        x = x + attend(self.norm1(x), self.qkv, self.proj, self.heads)
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class MaskedViT(nn.Module):
    """Masked autoencoder of a ViT (He et al., 2022): a light decoder predicts all pixels from the visible tokens.

    Only visible tokens pass through the blocks of the encoder, a quarter of the tokens at the usual ratio, which makes
    it fast. They have no windows and no grid of relative positions, so all blocks attend globally with their weights,
    as in the published pre-training of SAM's encoder (Li et al., 2022, section 3). Relative positions and the neck are
    not trained and keep their values; relative positions are zero in a fresh encoder, which matches this training.

    The absolute positions are a window of the encoder's table, at full spacing. `corner` moves it, so that crops
    smaller than the network's square input train the whole table.

    Parameters
    ----------
    encoder : ImageEncoderViT
        Trained in place.
    width, depth, heads : int
        Size of the decoder.
    """

    def __init__(self, encoder: ImageEncoderViT, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.encoder = encoder
        inner = encoder.pos_embed.shape[-1]
        self.norm = nn.LayerNorm(inner, eps=1e-6)  # of the last block; SAM's neck has its own normalisation
        self.narrow = nn.Linear(inner, width)
        self.mask_token = nn.Parameter(torch.randn(width) * 0.02)
        self.blocks = nn.ModuleList(DecoderBlock(width, heads) for _ in range(depth))
        self.head_norm = nn.LayerNorm(width, eps=1e-6)
        self.head = nn.Linear(width, 3 * encoder.stride**2)

    def encode_visible(self, images: Tensor, visible: Tensor, corner: tuple[int, int] = (0, 0)) -> Tensor:
        """Run the blocks of the encoder on some of the tokens.

        Parameters
        ----------
        images : Tensor
            (B, 3, H, W), normalised.
        visible : Tensor
            (B, n) int64, positions of the tokens in the row-major grid.
        corner : (int, int)
            Row and column of the crop in the network's square input, in tokens.

        Returns
        -------
        Tensor
            (B, n, C), without a final normalisation.
        """
        x: Tensor = self.encoder.patch_embed(images)  # (B, h, w, C)
        h, w = x.shape[1:3]
        top, left = corner
        x = (x + self.encoder.pos_embed[:, top : top + h, left : left + w]).flatten(1, 2)
        x = x.gather(1, visible[..., None].expand(-1, -1, x.shape[-1]))
        for module in self.encoder.blocks:
            block = cast("ViTBlock", module)
            attention = block.attn
            y = attend(block.norm1(x), attention.qkv, attention.proj, attention.heads)
            x = x + block.drop_path(y)
            x = x + block.drop_path(block.mlp(block.norm2(x)))
        return x

    def forward(self, images: Tensor, mask: Tensor, corner: tuple[int, int] = (0, 0)) -> Tensor:
        """Predict all pixels.

        Parameters
        ----------
        images : Tensor
            (B, 3, H, W), normalised.
        mask : Tensor
            (B, h, w) bool, True where hidden, equally often in each image; a patch has one or more tokens.
        corner : (int, int)
            As in `encode_visible`.

        Returns
        -------
        Tensor
            (B, 3, H, W), pixels normalised by patch.
        """
        patch = self.encoder.stride
        b, rows, columns = images.shape[0], images.shape[2] // patch, images.shape[3] // patch
        hidden = to_pixels(mask, rows // mask.shape[1]).flatten(1)  # (B, N)
        visible = (~hidden).nonzero()[:, 1].view(b, -1)  # (B, n)
        seen = self.narrow(self.norm(self.encode_visible(images, visible, corner)))
        width = seen.shape[-1]
        x = self.mask_token.to(seen.dtype).expand(b, rows * columns, -1)
        x = x.scatter(1, visible[..., None].expand(-1, -1, width), seen)
        x = x + sincos_positions(rows, columns, width).flatten(1, 2).to(seen)
        for block in self.blocks:
            x = block(x)
        pixels = self.head(self.head_norm(x)).transpose(1, 2)  # (B, 3 * patch^2, N)
        return F.pixel_shuffle(pixels.reshape(b, -1, rows, columns), patch)


class MaskedCells(nn.Module):
    """SimMIM of any encoder: a learned colour hides patches, and a linear layer on the embedding predicts pixels.

    The whole encoder is trained, including its neck.

    Parameters
    ----------
    encoder : nn.Module
        (B, 3, H, W) to (B, 256, H / stride, W / stride); trained in place.
    stride : int
        Stride of the embedding, in pixels.
    """

    def __init__(self, encoder: nn.Module, stride: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.stride = stride
        self.colour = nn.Parameter(torch.zeros(3))  # colour of hidden pixels; zero is the mean colour
        self.head = nn.Conv2d(_EMBEDDING, 3 * stride**2, 1)

    def forward(self, images: Tensor, mask: Tensor, corner: tuple[int, int] = (0, 0)) -> Tensor:
        """Predict all pixels, as `MaskedViT.forward`; `corner` is ignored, as these encoders have no positions."""
        side = images.shape[-1] // mask.shape[-1]
        covered = torch.where(to_pixels(mask, side), self.colour.view(1, 3, 1, 1), images)
        cells = self.head(self.encoder(covered.contiguous(memory_format=torch.channels_last)))
        return F.pixel_shuffle(cells, self.stride)


def build_pretext(net: Sam, config: PretrainConfig) -> MaskedViT | MaskedCells:
    """Build the autoencoder of a network's image encoder.

    Parameters
    ----------
    net : Sam
        Network whose image encoder becomes a part of the autoencoder, without a copy.
    config : PretrainConfig
        Sizes. With an empty `start`, the encoder gets the initial weights of MAE (`initialise`).

    Raises
    ------
    TrainingError
        If the crop or its patches do not fit the network.
    """
    side, stride = mask_side(net, config), net.prompt_encoder.stride
    unit = side if isinstance(net.image_encoder, ImageEncoderViT) else math.lcm(side, _COARSEST_PX)
    if side % stride:
        remedy = f"give a multiple of the encoder's stride, {stride}"
        raise TrainingError(f"mask_patch_px is {side}", parameter="mask_patch_px", remedy=remedy)
    if config.crop_px % unit or not 2 * side <= config.crop_px <= net.img_size:
        remedy = f"give a multiple of {unit} from {math.lcm(2 * side, unit)} to the network's {net.img_size}"
        raise TrainingError(f"crop_px is {config.crop_px}", parameter="crop_px", remedy=remedy)
    if not isinstance(net.image_encoder, ImageEncoderViT):
        return MaskedCells(net.image_encoder, stride)
    pretext = MaskedViT(net.image_encoder, config.decoder_width, config.decoder_depth, config.decoder_heads)
    if config.start == "":
        initialise(pretext)
    return pretext


def mask_side(net: Sam, config: PretrainConfig) -> int:
    """Return the side of a hidden patch in pixels: as configured, else a token of a ViT, or 32 for other encoders."""
    default = net.image_encoder.stride if isinstance(net.image_encoder, ImageEncoderViT) else _COARSEST_PX
    return config.mask_patch_px or default


@torch.no_grad()
def initialise(pretext: MaskedViT) -> None:
    """Set the initial weights of MAE's code: Xavier-uniform matrices, zero biases, sine-cosine positions.

    The positions are then learned, as in SAM.
    """
    for module in pretext.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
    projection = pretext.encoder.patch_embed.proj
    nn.init.xavier_uniform_(projection.weight.view(len(projection.weight), -1))
    table = pretext.encoder.pos_embed
    table.copy_(sincos_positions(*table.shape[1:]))
