"""SAM's prompt encoder: map points, boxes and masks to tokens and dense embeddings.

Coordinates are (x, y) in pixels of the network's input, as in SAM; `napari_sam.engine.interactive.prompts` converts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from src_models.networks.layers import quarter_resolution

NEGATIVE, POSITIVE, TOP_LEFT, BOTTOM_RIGHT = 0, 1, 2, 3
PAD_POINT = -1
"""Label of SAM's "not a point" token, which SAM appends to a prompt without a box."""
ABSENT = -2
"""Label of padding in a batch: masked everywhere, without influence on the result."""

_CLICK_SIGMAS_PX = (4.0, 14.0)


@dataclass(frozen=True)
class PromptEmbedding:
    """Embedding of N prompts, as the mask decoder takes it.

    Attributes
    ----------
    tokens : Tensor
        (N, T, 256).
    valid : Tensor or None
        (N, T) bool, False for padding of prompts with fewer than T tokens; None without padding.
    dense : Tensor
        (N, 256, h, w), or (1, 256, 1, 1) if it is the same for all prompts.
    """

    tokens: Tensor
    valid: Tensor | None
    dense: Tensor


class RandomFourierPE(nn.Module):
    """Positional encoding by random spatial frequencies (Tancik et al., 2020, "Fourier Features")."""

    positional_encoding_gaussian_matrix: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(2, width))

    def forward(self, unit_xy: Tensor) -> Tensor:
        """Encode coordinates in [0, 1], (..., 2) as x, y, to (..., 2 * width)."""
        # Low precision would move every prompt by up to a pixel.
        with torch.autocast(unit_xy.device.type, enabled=False):
            phase = 2 * math.pi * ((2 * unit_xy.float() - 1) @ self.positional_encoding_gaussian_matrix.float())
        return torch.cat([phase.sin(), phase.cos()], dim=-1)


class ClickMap(nn.Module):
    """Draw clicks and boxes as maps, and convolve them to the grid of the embedding.

    Not part of SAM. Every pixel receives the positions of the clicks before any attention has been learned, which
    helps a network that is trained on little data.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.seq = quarter_resolution(2 * len(_CLICK_SIGMAS_PX) + 1, (32, 64), width)

    def forward(self, coords: Tensor, labels: Tensor, shape: tuple[int, int], pitch: float) -> Tensor:
        """Draw and embed prompts.

        Parameters
        ----------
        coords : Tensor
            (N, P, 2) x, y in pixels of the network's input.
        labels : Tensor
            (N, P) labels, constants of this module.
        shape : (int, int)
            Height and width of the map, in cells.
        pitch : float
            Size of a cell, in pixels of the network's input.

        Returns
        -------
        Tensor
            (N, C, shape / 4).
        """
        y = (torch.arange(shape[0], device=coords.device) + 0.5) * pitch
        x = (torch.arange(shape[1], device=coords.device) + 0.5) * pitch
        dx2 = (x - coords[..., :1] - 0.5).square()  # (N, P, W)
        dy2 = (y - coords[..., 1:] - 0.5).square()  # (N, P, H)
        maps = []
        for label in (POSITIVE, NEGATIVE):
            chosen = (labels == label).to(coords.dtype)[..., None]
            for sigma in _CLICK_SIGMAS_PX:
                rows = torch.exp(-dy2 / (2 * sigma**2)) * chosen
                cols = torch.exp(-dx2 / (2 * sigma**2))
                maps.append((rows[..., :, None] * cols[..., None, :]).amax(1))  # (N, H, W)
        maps.append(self._boxes(coords, labels, x, y))
        drawn = torch.stack(maps, dim=1)
        out: Tensor = self.seq(drawn.to(next(self.seq.parameters()).dtype))
        return out

    @staticmethod
    def _boxes(coords: Tensor, labels: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """Draw boxes, (N, H, W): 1 inside the box of a prompt, 0 elsewhere."""

        def corner(label: int, axis: int) -> Tensor:
            chosen = (labels == label).to(coords.dtype)
            return (coords[..., axis] * chosen).sum(1, keepdim=True)  # (N, 1)

        has = (labels == TOP_LEFT).any(1).to(coords.dtype)[:, None, None]
        cols = torch.sigmoid(x - corner(TOP_LEFT, 0)) * torch.sigmoid(corner(BOTTOM_RIGHT, 0) - x)
        rows = torch.sigmoid(y - corner(TOP_LEFT, 1)) * torch.sigmoid(corner(BOTTOM_RIGHT, 1) - y)
        return rows[:, :, None] * cols[:, None, :] * has


class PromptEncoder(nn.Module):
    """Encode the prompts of many objects, of any number and kind.

    Parameters
    ----------
    img_size : int
        Side of the network's input, in pixels; coordinates are divided by it.
    stride : int
        Pixels of the input per cell of the image embedding.
    width : int
        Width of the embedding.
    click_map : bool
        Add the dense `ClickMap` of the default model.
    """

    def __init__(self, img_size: int = 1024, stride: int = 16, width: int = 256, click_map: bool = False) -> None:
        super().__init__()
        self.img_size = img_size
        self.stride = stride
        self.width = width
        self.pe_layer = RandomFourierPE(width // 2)
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, width) for _ in range(4))
        self.not_a_point_embed = nn.Embedding(1, width)
        self.mask_downscaling = quarter_resolution(1, (4, 16), width)
        self.no_mask_embed = nn.Embedding(1, width)
        self.click_map = ClickMap(width) if click_map else None
        self.pad_boxes = False  # as `pad_prompts` takes it

    def dense_pe(self, shape: tuple[int, int], origin: tuple[int, int] = (0, 0)) -> Tensor:
        """Return the positional encoding of the cells of an embedding of `shape` (h, w): (1, 256, h, w).

        `origin` (y, x), in cells, is the position of a training crop in the network's square input.
        """
        device = self.no_mask_embed.weight.device
        cell = self.stride / self.img_size
        y = (torch.arange(shape[0], device=device) + origin[0] + 0.5) * cell
        x = (torch.arange(shape[1], device=device) + origin[1] + 0.5) * cell
        grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)  # (h, w, 2) as x, y
        pe: Tensor = self.pe_layer(grid)
        return pe.permute(2, 0, 1)[None]

    def forward(
        self,
        coords: Tensor,
        labels: Tensor,
        masks: Tensor | None = None,
        shape: tuple[int, int] | None = None,
        has_mask: Tensor | None = None,
        origin: tuple[int, int] = (0, 0),
    ) -> PromptEmbedding:
        """Encode N prompts.

        Parameters
        ----------
        coords : Tensor
            (N, P, 2) x, y in pixels of the network's input; a box as top left and bottom right corner.
        labels : Tensor
            (N, P) of `NEGATIVE`, `POSITIVE`, `TOP_LEFT`, `BOTTOM_RIGHT`, `PAD_POINT` or `ABSENT`. Where a
            prompt has no box, SAM expects a `PAD_POINT`, which `pad_prompts` adds.
        masks : Tensor, optional
            (N, 1, 4h, 4w) low-res logits of an earlier prediction.
        shape : (int, int), optional
            Height and width (h, w) of the image embedding; by default those of a full input.
        has_mask : Tensor, optional
            (N,) bool, False for prompts without a mask.
        origin : (int, int)
            As in `dense_pe`.

        Returns
        -------
        PromptEmbedding
        """
        shape = shape or (self.img_size // self.stride,) * 2
        corner = coords.new_tensor([origin[1], origin[0]]) * self.stride
        dense = self.dense(coords - corner, labels, masks, shape, has_mask)
        valid = None if bool((labels != ABSENT).all()) else labels != ABSENT
        return PromptEmbedding(self.point_tokens(coords, labels), valid, dense)

    def point_tokens(self, coords: Tensor, labels: Tensor) -> Tensor:
        """Return positional encoding plus label embedding, (N, P, 256)."""
        pe = self.pe_layer((coords + 0.5) / self.img_size)
        tokens: Tensor = pe * (labels >= 0)[..., None]
        table = torch.cat([self.not_a_point_embed.weight, *self.point_embeddings.parameters()])
        return tokens + table[(labels + 1).clamp(min=0)]

    def dense(
        self,
        coords: Tensor,
        labels: Tensor,
        masks: Tensor | None,
        shape: tuple[int, int],
        has_mask: Tensor | None = None,
    ) -> Tensor:
        """Return the dense prompt embeddings, (N, 256, h, w) or (1, 256, 1, 1).

        Parameters
        ----------
        coords : Tensor
            (N, P, 2) x, y in pixels of the network's input, from the corner of the embedding.
        labels, masks, shape, has_mask
            As in `forward`.
        """
        dense = self._dense_masks(masks, has_mask)
        if self.click_map is not None:
            dense = dense + self.click_map(coords, labels, (4 * shape[0], 4 * shape[1]), self.stride / 4)
        return dense

    def _dense_masks(self, masks: Tensor | None, has_mask: Tensor | None) -> Tensor:
        """Embed the mask prompts, (N, 256, h, w), or their absence, (1, 256, 1, 1)."""
        absent = self.no_mask_embed.weight[:, :, None, None]
        if masks is None:
            return absent
        embedded: Tensor = self.mask_downscaling(masks.to(absent.dtype))
        if has_mask is None:
            return embedded
        return torch.where(has_mask[:, None, None, None], embedded, absent.to(embedded.dtype))


def pad_prompts(prompts: list[tuple[Tensor, Tensor]], pad_boxes: bool = False) -> tuple[Tensor, Tensor]:
    """Stack prompts of different lengths into a batch.

    Parameters
    ----------
    prompts : list of (Tensor, Tensor)
        (P, 2) coordinates and (P,) labels of each object; a box as its two corners, last.
    pad_boxes : bool
        Whether objects with a box get a `PAD_POINT` too, as in SAM 2.

    Returns
    -------
    coords : Tensor
        (N, T, 2).
    labels : Tensor
        (N, T): as in SAM a `PAD_POINT` for an object without a box, then `ABSENT` up to the longest.

    Examples
    --------
    >>> point = (torch.tensor([[5.0, 6.0]]), torch.tensor([POSITIVE]))
    >>> box = (torch.tensor([[1.0, 2.0], [8.0, 9.0], [5.0, 6.0]]), torch.tensor([2, 3, 1]))
    >>> pad_prompts([point, box])[1]
    tensor([[ 1, -1, -2],
            [ 2,  3,  1]])
    """
    rows = []
    for coords, labels in prompts:
        if pad_boxes or not bool((labels == TOP_LEFT).any()):
            coords = torch.cat([coords, coords.new_zeros(1, 2)])
            labels = torch.cat([labels, labels.new_full((1,), PAD_POINT)])
        rows.append((coords, labels))
    longest = max(len(labels) for _, labels in rows)
    coords = torch.stack([F.pad(c, (0, 0, 0, longest - len(c))) for c, _ in rows])
    labels = torch.stack([F.pad(v, (0, longest - len(v)), value=ABSENT) for _, v in rows])
    return coords, labels
