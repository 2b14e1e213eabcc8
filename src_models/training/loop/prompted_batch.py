"""Batch of objects with the prompts of simulated users."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from src_models.networks.prompt_encoder import BOTTOM_RIGHT, TOP_LEFT, pad_prompts
from src_models.training.prompt_simulation import border_point, correction, deepest_point, noisy_box, random_point
from src_models.watershed import HYPOTHESIS_LOGIT, hypothesis

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from src_models.training.data.crops import Crop

PAPER_ROUNDS = 11
_PAPER_CLICKS = 8
_LOGIT_LIMIT = 16.0
# Quick recipe: number of rounds of corrections before the trained round, and their probabilities.
_QUICK_ROUNDS, _QUICK_CHANCES = (0, 1, 2, 4, 7), (0.5, 0.22, 0.14, 0.09, 0.05)


class ClickShares(NamedTuple):
    """Shares of the clicks anywhere in the region to click, and near its border."""

    random: float = 0.5
    border: float = 0.0

    def kind(self, number: float) -> str:
        """Return the kind of a click for a uniform number in [0, 1]: "deepest", "random" or "border".

        >>> [ClickShares(0.5, 0.1).kind(number) for number in (0.3, 0.8, 0.95)]
        ['deepest', 'random', 'border']
        """
        if number < 1 - self.random - self.border:
            return "deepest"
        return "random" if number < 1 - self.border else "border"


_CLICKS = ClickShares()


class PromptedBatch:
    """Batch of objects with the prompts that each has received so far.

    Parameters
    ----------
    crops : list of Crop
        B crops of N / B objects each.
    rng : numpy.random.Generator
        Source of all random choices.
    stride : int
        Pixels of the input per cell of the embedding.
    cell : (int, int)
        Position (y, x) of the crops in the network's square input, in cells.
    recipe : {"quick", "paper"}
        First prompts: "paper" draws a uniform point or a noisy box, half each; "quick" draws fewer boxes, and its
        points as `clicks` says.
    clicks : ClickShares
        Shares of the clicks of the quick recipe; the others are the deepest pixel of the region to click.
    """

    def __init__(
        self,
        crops: list[Crop],
        rng: np.random.Generator,
        stride: int,
        cell: tuple[int, int],
        recipe: str = "quick",
        clicks: ClickShares = _CLICKS,
    ) -> None:
        self.cell = cell
        self.offset = torch.tensor([cell[1], cell[0]]) * float(stride)  # position in pixels, x, y
        self.pitch = pitch = stride // 4
        self.paper = recipe == "paper"
        masks = np.concatenate([c.masks for c in crops])
        self.truth = masks  # (N, S, S)
        self.target = F.avg_pool2d(torch.from_numpy(masks).float()[:, None], pitch)[:, 0]  # (N, S/pitch, S/pitch)
        self.image_index = torch.arange(len(crops)).repeat_interleave(len(crops[0].masks))
        self.rng = rng
        self.points: list[list[tuple[int, int, int]]] = []
        self.boxes: list[tuple[float, float, float, float] | None] = []
        self.logits: Tensor | None = None
        self.has_mask = torch.zeros(len(masks), dtype=torch.bool)
        self.clicks = ClickShares(random=1.0) if self.paper else clicks
        boxes = 0.5 if self.paper else 0.35
        for mask in masks:
            as_box = rng.random() < boxes
            self.boxes.append(noisy_box(mask, rng) if as_box else None)
            first = self._first_click(mask)
            self.points.append([] if as_box else [(*first, 1)])

    def _first_click(self, mask: NDArray[np.bool_]) -> tuple[int, int]:
        """Draw the pixel (y, x) of an object that the user clicks first."""
        kind = self.clicks.kind(self.rng.random())
        if kind == "deepest":
            return deepest_point(mask)
        return random_point(mask, self.rng) if kind == "random" else border_point(mask, self.rng)

    @property
    def single_mask(self) -> Tensor:
        """Objects whose single mask is used, (N,) bool.

        In the paper these have more than one prompt; the quick recipe adds boxes, which are hardly ambiguous.
        """
        prompts = zip(self.points, self.boxes, self.has_mask.tolist(), strict=True)
        if self.paper:
            return torch.tensor([len(p) + (b is not None) + m > 1 for p, b, m in prompts])
        return torch.tensor([b is not None or len(p) > 1 for p, b, _ in prompts])

    def add_hypotheses(self, labels: Sequence[NDArray[np.int32]], chance: float) -> None:
        """Add objects of the dense decoder as mask prompts.

        Parameters
        ----------
        labels : sequence of ndarray of int32
            (S / pitch, S / pitch) of each crop, from `seeded_watershed`.
        chance : float
            Probability for each object whose prompt selects an object of the dense decoder.
        """
        size = labels[0].shape
        for i, image in enumerate(self.image_index.tolist()):
            if self.rng.random() >= chance:
                continue
            points = np.array([p[:2] for p in self.points[i]], float).reshape(-1, 2) / self.pitch
            box = self.boxes[i]
            small = None if box is None else tuple(v / self.pitch for v in box)
            mask = hypothesis(labels[image], points, [p[2] for p in self.points[i]], small)
            if mask is not None:
                if self.logits is None:
                    self.logits = torch.zeros(len(self.truth), 1, *size)
                self.logits[i, 0] = torch.from_numpy(np.where(mask, HYPOTHESIS_LOGIT, -HYPOTHESIS_LOGIT))
                self.has_mask[i] = True

    def correction_rounds(self) -> np.ndarray:
        """Draw the number of rounds of corrections before the trained round of the quick recipe, (N,)."""
        return self.rng.choice(_QUICK_ROUNDS, p=_QUICK_CHANCES, size=len(self.truth))

    def paper_schedule(self) -> list[bool]:
        """Draw which rounds after the first add a click: eight do, the last and one other do not.

        Source: Kirillov et al., 2023, appendix A, "Training algorithm".
        """
        clicks = [True] * _PAPER_CLICKS
        clicks.insert(int(self.rng.integers(0, _PAPER_CLICKS + 1)), False)
        return [*clicks, False]

    def add_corrections(self, objects: np.ndarray, logits: Tensor, click: bool = True) -> None:
        """Add the predicted masks of some objects as mask prompts, and a click where they are wrong.

        Parameters
        ----------
        objects : ndarray of int
            Indices of n objects.
        logits : Tensor
            (n, S / pitch, S / pitch), the mask of each object that the user sees.
        click : bool
            Add a click; otherwise only the mask prompt.
        """
        if self.logits is None:
            self.logits = torch.zeros(len(self.truth), 1, *logits.shape[-2:])
        masks = F.interpolate(logits[:, None].float(), scale_factor=self.pitch, mode="bilinear")[:, 0] > 0
        for i, mask, low in zip(objects, masks.cpu().numpy(), logits.float().cpu(), strict=True):
            if click:
                kind = self._correction_kind()
                source = None if kind == "deepest" else self.rng
                self.points[i].append(correction(mask, self.truth[i], source, kind == "border"))
            if self.paper or self.rng.random() < 0.8:
                self.logits[i, 0], self.has_mask[i] = low.clamp(-_LOGIT_LIMIT, _LOGIT_LIMIT), True

    def _correction_kind(self) -> str:
        """Draw the kind of a click in an error region."""
        # Mirrored, as it always was: a resumed run simulates the same clicks.
        return "random" if self.paper else self.clicks.kind(1 - self.rng.random())

    def tokens(self) -> tuple[Tensor, Tensor]:
        """Return coordinates (N, T, 2) as x, y in the network's input, and labels (N, T)."""
        items = []
        for points, box in zip(self.points, self.boxes, strict=True):
            xy: list[list[float]] = [[x, y] for y, x, _ in points]
            labels = [label for _, _, label in points]
            if box is not None:
                xy += [[box[1], box[0]], [box[3], box[2]]]
                labels += [TOP_LEFT, BOTTOM_RIGHT]
            coords = torch.tensor(xy, dtype=torch.float32).reshape(-1, 2)  # none for an object without a prompt
            items.append((coords + self.offset, torch.tensor(labels, dtype=torch.long)))
        return pad_prompts(items)
