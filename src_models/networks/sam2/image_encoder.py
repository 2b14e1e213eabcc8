"""Image encoder of SAM 2: the trunk and a feature pyramid."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from torch import Tensor, nn
from torch.nn import functional as F

from src_models.networks.sam2.config import WIDTH
from src_models.networks.sam2.hiera import Hiera

if TYPE_CHECKING:
    from src_models.networks.sam2.config import Sam2Config


class LateralConv(nn.Module):
    """Projection of a stage to the width of the embedding (key ``conv``)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, WIDTH, 1)


class FeaturePyramid(nn.Module):
    """Projections of the four stages, the coarsest first, and a single step from the coarsest to the next."""

    def __init__(self, config: Sam2Config) -> None:
        super().__init__()
        self.convs = nn.ModuleList(LateralConv(config.width << stage) for stage in (3, 2, 1, 0))

    def lateral(self, stage: int) -> nn.Conv2d:
        """Return the projection of a stage; 0 is the finest."""
        return cast("LateralConv", self.convs[3 - stage]).conv

    def coarse(self, stages: list[Tensor]) -> Tensor:
        """Return the map of stride 16 (B, S / 16, S / 16, 256): stage 2 plus the enlarged stage 3."""
        top = pointwise(stages[3], self.lateral(3))
        enlarged = top.repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)
        return pointwise(stages[2], self.lateral(2)) + enlarged


class Sam2ImageEncoder(nn.Module):
    """Trunk and feature pyramid (keys ``trunk``, ``neck``)."""

    def __init__(self, config: Sam2Config) -> None:
        super().__init__()
        self.img_size, self.stride = config.img_size, 16
        self.trunk = Hiera(config)
        self.neck = FeaturePyramid(config)

    def fine(self, stages: list[Tensor], stage: int, conv: nn.Conv2d) -> Tensor:
        """Project a fine stage to the width of the embedding, and with `conv` to few channels: (B, H, W, C).

        Both are matrix products without anything between them, hence a single one by the product of their matrices.
        """
        lateral = self.neck.lateral(stage)
        outer, inner = conv.weight.flatten(1), lateral.weight.flatten(1)
        bias = outer @ cast("Tensor", lateral.bias) + cast("Tensor", conv.bias)
        return F.linear(stages[stage], outer @ inner, bias)


def pointwise(x: Tensor, conv: nn.Conv2d) -> Tensor:
    """Apply a 1 x 1 convolution to (B, H, W, C)."""
    return F.linear(x, conv.weight.flatten(1), conv.bias)
