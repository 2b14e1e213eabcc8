"""Stand-in for ``torchvision.ops.boxes``: area and non-maximum suppression in plain torch."""

from __future__ import annotations

import torch
from torch import Tensor


def box_area(boxes: Tensor) -> Tensor:
    """Compute the areas (N,) of boxes (N, 4) as x0, y0, x1, y1."""
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def box_iou(boxes: Tensor, others: Tensor) -> Tensor:
    """Intersection over union, (N, M), of two sets of boxes."""
    low = torch.maximum(boxes[:, None, :2], others[None, :, :2])
    high = torch.minimum(boxes[:, None, 2:], others[None, :, 2:])
    common = (high - low).clamp(min=0).prod(-1)
    return common / (box_area(boxes)[:, None] + box_area(others)[None] - common)


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Choose boxes, best first, of which none overlaps a better one by more than the threshold."""
    order = scores.argsort(descending=True)
    keep = []
    while order.numel():
        best, order = order[0], order[1:]
        keep.append(best)
        order = order[box_iou(boxes[best][None], boxes[order])[0] <= iou_threshold]
    return torch.stack(keep) if keep else order


def batched_nms(boxes: Tensor, scores: Tensor, idxs: Tensor, iou_threshold: float) -> Tensor:
    """As `nms`, where only boxes of the same group (`idxs`) suppress one another."""
    if not boxes.numel():
        return torch.empty(0, dtype=torch.int64, device=boxes.device)
    apart = idxs.to(boxes) * (boxes.max() + 1)
    return nms(boxes + apart[:, None], scores, iou_threshold)
