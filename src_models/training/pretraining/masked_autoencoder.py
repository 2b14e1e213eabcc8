"""Masked autoencoders: an image encoder learns from images without labels by guessing pixels that it cannot see.

A transformer sees only what is not hidden (He et al., 2022, "Masked Autoencoders Are Scalable Vision Learners");
an encoder with convolutions cannot leave places out, so there a learnt colour covers them (Xie et al., 2022,
"SimMIM: a Simple Framework for Masked Image Modeling"). Both answer with an image of normalised pixels, and
`masked_loss` judges both alike. `src_models.training.pretraining.pretrainer` has the loop.
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
_NOISE = 2 / 255  # deviation of a patch, of pixels in 0 ... 1, that is camera noise rather than structure


def draw_masks(count: int, shape: tuple[int, int], ratio: float, rng: np.random.Generator) -> Tensor:
    """Choose the patches to hide: the same number in each image, at random places.

    Parameters
    ----------
    count : int
        Number of images B.
    shape : (int, int)
        Patches (h, w) of an image, two at least.
    ratio : float
        Share that is hidden; rounded to whole patches, at least one and never all.
    rng : numpy.random.Generator
        Decides.

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

    MAE's code normalises what ImageNet's mean and deviation have already changed, and adds 1e-6 to the variance.
    In a grey image that difference between the colours is all that a dark patch holds, and guessing it is half of
    the loss; so the colours here are on one scale, and what is added to the variance is that of noise.

    Parameters
    ----------
    images : Tensor
        (B, 3, H, W), RGB in 0 ... 1.
    side : int
        Of a patch, in pixels; divides H and W.

    Returns
    -------
    patches : Tensor
        (B, 3 * side**2, H / side, W / side), the pixels of a patch as `pixel_unshuffle` orders them.
    mean, deviation : Tensor
        (B, 1, H / side, W / side), over all pixels and colours of a patch, of the variance without bias; they
        take the patches back to `images`.
    """
    patches = F.pixel_unshuffle(images, side)
    mean = patches.mean(1, keepdim=True)
    deviation = (patches.var(1, keepdim=True) + _NOISE**2).sqrt()
    return (patches - mean) / deviation, mean, deviation


def masked_loss(predicted: Tensor, images: Tensor, mask: Tensor) -> Tensor:
    """Mean squared error of the hidden patches (He et al., 2022, section 3 and "norm_pix_loss" of their code).

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
    """Put the prediction where the image is hidden, with the true mean and deviation of each patch.

    Those are not part of the task, so a picture of it shows structure, not brightness.

    Parameters
    ----------
    predicted, images, mask : Tensor
        As `masked_loss`.

    Returns
    -------
    Tensor
        (B, 3, H, W), on the scale of `images`; a wild guess may lie outside 0 ... 1.
    """
    side = images.shape[-1] // mask.shape[-1]
    _, mean, deviation = normalised_patches(images, side)
    filled = F.pixel_shuffle(F.pixel_unshuffle(predicted, side) * deviation + mean, side)
    return torch.where(to_pixels(mask, side), filled, images)


def to_pixels(mask: Tensor, side: int) -> Tensor:
    """Spread a mask of patches (B, h, w) over pixels (B, 1, h * side, w * side)."""
    return mask.repeat_interleave(side, 1).repeat_interleave(side, 2)[:, None]


def sincos_positions(height: int, width: int, channels: int) -> Tensor:
    """Fixed position embedding: sines and cosines of y, then of x (Vaswani et al., 2017, in two dimensions).

    Parameters
    ----------
    height, width : int
        Of the grid.
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
    """Plain self-attention of tokens (B, N, C) that need not form a grid."""
    b, n, c = x.shape
    q, k, v = qkv(x).view(b, n, 3, heads, c // heads).permute(2, 0, 3, 1, 4).unbind(0)  # (B, nh, N, hs)
    out = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, c)
    projected: Tensor = proj(out)
    return projected


class DecoderBlock(nn.Module):
    """A transformer block without windows or relative positions."""

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
    """He et al.'s autoencoder around a ViT: visible tokens in, a light decoder's guess of all pixels out.

    Only visible tokens go through the encoder's blocks, which is what makes it fast: a quarter of the tokens at
    the usual ratio. A scattered set has no windows and no grid of relative positions, so all blocks attend
    globally with their own weights, as in the published pre-training of SAM's encoder (Li et al., 2022, section
    3). Relative positions and the neck are not trained here and keep their values; in a fresh encoder the former
    are zero, which is just what the blocks have learnt with.

    The absolute positions are a window of the encoder's table, at full spacing: `corner` moves it, so that all
    of the table is learnt from crops that are smaller than the network's square.

    Parameters
    ----------
    encoder : ImageEncoderViT
        Trained in place.
    width, depth, heads : int
        Of the decoder.
    """

    def __init__(self, encoder: ImageEncoderViT, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.encoder = encoder
        inner = encoder.pos_embed.shape[-1]
        self.norm = nn.LayerNorm(inner, eps=1e-6)  # ends a transformer; SAM's neck has its own
        self.narrow = nn.Linear(inner, width)
        self.mask_token = nn.Parameter(torch.randn(width) * 0.02)
        self.blocks = nn.ModuleList(DecoderBlock(width, heads) for _ in range(depth))
        self.head_norm = nn.LayerNorm(width, eps=1e-6)
        self.head = nn.Linear(width, 3 * encoder.stride**2)

    def encode_visible(self, images: Tensor, visible: Tensor, corner: tuple[int, int] = (0, 0)) -> Tensor:
        """Run the encoder's blocks on some tokens only.

        Parameters
        ----------
        images : Tensor
            (B, 3, H, W), normalised.
        visible : Tensor
            (B, n) int64, places of the tokens in the row-major grid.
        corner : (int, int)
            Row and column in the network's square, in tokens.

        Returns
        -------
        Tensor
            (B, n, C), without a last normalisation.
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
        """Guess all pixels.

        Parameters
        ----------
        images : Tensor
            (B, 3, H, W), normalised.
        mask : Tensor
            (B, h, w) bool, True where hidden, equally often in each image; its patches are one or more tokens.
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
    """SimMIM around any encoder: a learnt colour hides patches, one linear layer on the embedding guesses pixels.

    All of the encoder is trained, neck included.

    Parameters
    ----------
    encoder : nn.Module
        (B, 3, H, W) to (B, 256, H / stride, W / stride); trained in place.
    stride : int
        Of the embedding, in pixels.
    """

    def __init__(self, encoder: nn.Module, stride: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.stride = stride
        self.colour = nn.Parameter(torch.zeros(3))  # of hidden pixels; zero is the mean colour
        self.head = nn.Conv2d(_EMBEDDING, 3 * stride**2, 1)

    def forward(self, images: Tensor, mask: Tensor, corner: tuple[int, int] = (0, 0)) -> Tensor:
        """Guess all pixels; as `MaskedViT.forward`. `corner` changes nothing: these encoders know no positions."""
        side = images.shape[-1] // mask.shape[-1]
        covered = torch.where(to_pixels(mask, side), self.colour.view(1, 3, 1, 1), images)
        cells = self.head(self.encoder(covered.contiguous(memory_format=torch.channels_last)))
        return F.pixel_shuffle(cells, self.stride)


def build_pretext(net: Sam, config: PretrainConfig) -> MaskedViT | MaskedCells:
    """Put the autoencoder around a network's image encoder.

    Parameters
    ----------
    net : Sam
        Its image encoder becomes a part of the autoencoder, not a copy.
    config : PretrainConfig
        Sizes. With an empty `start` the encoder's fresh weights are drawn again as MAE does (`initialise`).

    Raises
    ------
    TrainingError
        If the crop or its patches do not fit the network.
    """
    side, stride = mask_side(net, config), net.prompt_encoder.stride
    unit = side if isinstance(net.image_encoder, ImageEncoderViT) else math.lcm(side, _COARSEST_PX)
    if side % stride:
        raise TrainingError(f"mask_patch_px {side}: must be a multiple of the encoder's stride, {stride}")
    if config.crop_px % unit or not 2 * side <= config.crop_px <= net.img_size:
        raise TrainingError(
            f"crop_px {config.crop_px}: must be a multiple of {unit} from {math.lcm(2 * side, unit)} to the "
            f"network's {net.img_size}"
        )
    if not isinstance(net.image_encoder, ImageEncoderViT):
        return MaskedCells(net.image_encoder, stride)
    pretext = MaskedViT(net.image_encoder, config.decoder_width, config.decoder_depth, config.decoder_heads)
    if config.start == "":
        initialise(pretext)
    return pretext


def mask_side(net: Sam, config: PretrainConfig) -> int:
    """Side of a hidden patch in pixels: as configured, else one token of a ViT and 32 pixels for other encoders."""
    own = net.image_encoder.stride if isinstance(net.image_encoder, ImageEncoderViT) else _COARSEST_PX
    return config.mask_patch_px or own


@torch.no_grad()
def initialise(pretext: MaskedViT) -> None:
    """Draw fresh weights as MAE's code does: Xavier-uniform matrices, zero biases, sine-cosine positions.

    The positions are learnt from there on, as SAM's are.
    """
    for module in pretext.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
    projection = pretext.encoder.patch_embed.proj
    nn.init.xavier_uniform_(projection.weight.view(len(projection.weight), -1))
    table = pretext.encoder.pos_embed
    table.copy_(sincos_positions(*table.shape[1:]))
