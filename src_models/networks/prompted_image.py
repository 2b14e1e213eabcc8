"""Image tokens of many prompts without a copy for each: a shared image, and mixtures of a few rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


@dataclass(frozen=True)
class PromptedImage:
    """Image tokens that N prompts share, except for a few cells that differ between prompts.

    Attributes
    ----------
    shared : Tensor
        (L, C).
    cells : Tensor or None
        (N, K) indices of the tokens that differ; unique within a prompt.
    replaced : Tensor or None
        (N, K, C) tokens of each prompt in these cells.
    """

    shared: Tensor
    cells: Tensor | None = None
    replaced: Tensor | None = None

    def map(self, function: Callable[[Tensor], Tensor]) -> PromptedImage:
        """Apply a function to every token."""
        return PromptedImage(
            function(self.shared), self.cells, None if self.replaced is None else function(self.replaced)
        )

    def plus(self, rows: Tensor) -> PromptedImage:
        """Add rows (L, C), the same for all prompts."""
        replaced = None if self.replaced is None else self.replaced + rows[self.cells]
        return PromptedImage(self.shared + rows, self.cells, replaced)

    def scores(self, rows: Tensor) -> Tensor:
        """Compute the inner products of rows (N, R, C) with all tokens: (N, R, L)."""
        n, r, _ = rows.shape
        out = (rows.flatten(0, 1) @ self.shared.T).view(n, r, -1)
        if self.replaced is not None and self.cells is not None:
            out.scatter_(2, self.cells[:, None].expand(-1, r, -1), rows @ self.replaced.transpose(1, 2))
        return out

    def weighted_sum(self, weights: Tensor) -> Tensor:
        """Sum the tokens with weights (N, R, L): (N, R, C)."""
        n, r, _ = weights.shape
        out = (weights.flatten(0, 1) @ self.shared).view(n, r, -1)
        if self.replaced is not None and self.cells is not None:
            chosen = weights.gather(2, self.cells[:, None].expand(-1, r, -1))
            out = out + chosen @ (self.replaced - self.shared[self.cells])
        return out

    def squares(self) -> Tensor:
        """Sum the squares of each token: (1 or N, L), float32."""
        out = self.shared.float().square().sum(-1)[None]
        if self.replaced is not None and self.cells is not None:
            out = out.expand(len(self.replaced), -1).scatter(1, self.cells, self.replaced.float().square().sum(-1))
        return out

    def tokens(self, chosen: Tensor) -> Tensor:
        """Return all tokens of the chosen prompts, (n, L, C)."""
        out = self.shared.expand(len(chosen), -1, -1)
        if self.replaced is not None and self.cells is not None:
            index = self.cells[chosen][..., None].expand(-1, -1, self.shared.shape[-1])
            out = out.scatter(1, index, self.replaced[chosen])
        return out

    def select(self, prompts: Tensor) -> PromptedImage:
        """Return the image of some prompts."""
        if self.cells is None or self.replaced is None:
            return self
        return PromptedImage(self.shared, self.cells[prompts], self.replaced[prompts])


@dataclass(frozen=True)
class Mixture:
    """Image tokens as mixtures of a few rows for each prompt.

    Attributes
    ----------
    rows : Tensor
        (N, R, C).
    weights : Tensor
        (N, R, L) share of every row in every image token.
    """

    rows: Tensor
    weights: Tensor

    def scores(self, others: Tensor, image: PromptedImage | None = None) -> Tensor:
        """Compute the inner products of (N, S, C) with the mixtures, plus an image: (N, S, L)."""
        small = others @ self.rows.transpose(1, 2)
        if image is None:
            return torch.bmm(small, self.weights)
        return image.scores(others).baddbmm_(small, self.weights)

    def weighted_sum(self, weights: Tensor) -> Tensor:
        """Sum the mixtures with weights (N, S, L): (N, S, C)."""
        return torch.bmm(torch.bmm(weights, self.weights.transpose(1, 2)), self.rows)

    def with_rows(self, rows: Tensor) -> Mixture:
        """Return the mixture of other rows with the same weights."""
        return Mixture(rows, self.weights)

    def select(self, prompts: Tensor) -> Mixture:
        """Return the mixtures of some prompts."""
        return Mixture(self.rows[prompts], self.weights[prompts])
